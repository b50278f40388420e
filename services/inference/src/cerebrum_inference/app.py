"""Puts the inference service together."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypedDict

from fastapi import FastAPI

from cerebrum_inference import __version__
from cerebrum_inference.api import embeddings, native, openai
from cerebrum_inference.api.common import Resources
from cerebrum_inference.batching.engine import BatchEngine, EngineOptions, Machine
from cerebrum_inference.batching.options import WorkerOptions
from cerebrum_inference.batching.store import PrefixStore
from cerebrum_inference.embedded import ensure_local_key
from cerebrum_inference.engine import Engine, Finish, Generation, Sampling
from cerebrum_inference.gguf.inspection import inspect_file
from cerebrum_inference.gguf.inspection import self_check as check_library
from cerebrum_inference.loaded import LlamaModel, Shared
from cerebrum_inference.machine import cpu_pressure, cpu_sample, usable_cores
from cerebrum_inference.manifest import Manifest, ModelRow, read_manifest
from cerebrum_inference.memory import available_memory, resident_anonymous
from cerebrum_inference.metrics import InferenceMetrics
from cerebrum_inference.registry import ModelRegistry, Progress
from cerebrum_inference.settings import InferenceSettings
from cerebrum_inference.turns import Turns
from cerebrum_inference.verifier import Verifier
from cerebrum_kit.app import AppOptions, build_app
from cerebrum_kit.errors import CerebrumError
from cerebrum_kit.keys import Key, KeyRing, digest
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.logs import get_logger
from cerebrum_kit.metrics import new_registry
from cerebrum_kit.settings import BadSettings, credential

log = get_logger(__name__)
# A 7B model is computed with for seconds, and read from a slow disk for minutes.
_TRIAL_SECONDS = 900.0
_SELF_CHECK_SECONDS = 60.0
_LARGE_MODEL = 128 * 1024 * 1024


class State(TypedDict):
    resources: Resources


def create_app(settings: InferenceSettings) -> FastAPI:
    """The inference app. The default model is loaded, and has generated a token, before it serves.

    Raises:
        ConfigurationError: the manifest, the default model or the keys cannot be used, or llama.cpp does not work here.
    """
    manifest = read_manifest(settings.manifest)
    default_model = choose_default(manifest, settings.default_model)
    keys = _keys(settings)
    found = check_library(timeout=_SELF_CHECK_SECONDS)
    log.info("llama.cpp works", system=found.system_info, sandbox=",".join(found.layers))
    lifecycle = Lifecycle()
    metrics_registry = new_registry("inference", __version__, settings.release)
    metrics = InferenceMetrics(metrics_registry, [row.id for row in manifest.models])

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        engine, registry = make_engine(settings, manifest, metrics)
        lifecycle.stuck = engine.stuck
        try:
            lifecycle.problem = await self_check(engine, default_model)
            yield State(resources=Resources(engine, registry, lifecycle, default_model))
        finally:
            await engine.close()

    # Threads that compute hold the interpreter lock only between steps; the default 5 ms would be most of a token.
    sys.setswitchinterval(0.0005)
    app = build_app(
        AppOptions(
            service="inference",
            version=__version__,
            release=settings.release,
            lifecycle=lifecycle,
            registry=metrics_registry,
            lifespan=lifespan,
            max_body_bytes=settings.max_body_bytes,
            keys=keys,
            open_paths=("/health", "/ready"),  # a balancer asks, and has no key
            allowed_hosts=settings.allowed_hosts,
            allowed_clients=settings.allowed_clients,
        )
    )
    app.include_router(native.router)
    app.include_router(openai.router)
    app.include_router(embeddings.router)
    return app


def make_engine(
    settings: InferenceSettings, manifest: Manifest, metrics: InferenceMetrics
) -> tuple[BatchEngine, ModelRegistry]:
    """The engine and its models; to be called in the event loop that they will serve."""
    store = PrefixStore(settings.prefix_store_mib * 1024 * 1024)
    shared = Shared(store, Turns(), asyncio.get_running_loop())

    def context(row: ModelRow) -> int:
        return min(row.context, settings.max_context)

    def make_model(row: ModelRow, path: Path, progress: Progress) -> LlamaModel:
        options = WorkerOptions(
            slots=settings.slots,
            threads=settings.threads,
            context=context(row),
            step_seconds=settings.step_ms / 1000,
            coalesce_seconds=settings.coalesce_ms / 1000,
            idle_tokens=settings.prefix_idle_tokens,
            speculate=settings.speculation == "on",
            flash_attention=flash_attention(settings, row),
            gpu_layers=settings.gpu_layers,
        )
        stat = path.stat()
        key = row.sha256 or f"{stat.st_dev}-{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"
        return LlamaModel(row, str(path), options, shared, metrics.stats[row.id], key=key, progress=progress)

    registry = ModelRegistry(
        manifest,
        make=make_model,
        verifier=Verifier(partial(inspect_file, timeout=_TRIAL_SECONDS)),
        memory_needed=lambda row, header: header.memory_estimate(settings.slots * context(row)),
        metrics=metrics,
        available_memory=available_memory,
        own_memory=resident_anonymous,
        reserve_bytes=settings.reserve_mib * 1024 * 1024,
        idle_seconds=settings.idle_unload_minutes * 60,
    )
    options = EngineOptions(
        slots=settings.slots,
        threads=settings.threads,
        cores=usable_cores(),
        max_queue=settings.max_queue,
        max_queue_total=settings.max_queue_total,
        queue_seconds=settings.queue_seconds,
        foreign_cpu=settings.max_cpu_percent / 100,
    )
    engine = BatchEngine(
        registry,
        options,
        metrics=metrics,
        machine=Machine(cpu_sample, cpu_pressure),
        stored_bytes=lambda: store.size,
    )
    return engine, registry


def flash_attention(settings: InferenceSettings, row: ModelRow) -> bool | None:
    """Whether a model is computed with flash attention; None leaves it to llama.cpp.

    It is faster for what is large, and sums in half precision, so that a text depends on what is computed beside it.
    A small model is fast enough without.
    """
    if settings.flash_attention == "auto":
        return None if row.size_bytes >= _LARGE_MODEL else False
    return settings.flash_attention == "on"


def choose_default(manifest: Manifest, wanted: str | None) -> str:
    """The model for requests that name none: the setting's, else the fallback row's, else the first one's."""
    ids = [row.id for row in manifest.models]
    if wanted is not None:
        if wanted not in ids:
            raise BadSettings(
                f"CEREBRUM_INFERENCE_DEFAULT_MODEL: {wanted!r} is not in the manifest; allowed are {', '.join(ids)}"
            )
        return wanted
    return next((row.id for row in manifest.models if row.fallback), ids[0])


async def self_check(engine: Engine, model: str) -> str | None:
    """Loads the default model and generates one token; what is wrong, or None.

    A machine whose model is broken still starts, so that it can say so and serve its other models; a deployment reads
    the problem from the service's status and refuses the release.
    """
    try:
        async with engine.use(model) as loaded:
            asked = Generation(model, loaded.tokenize("def "), 1, Sampling(temperature=0), request_id="self-check")
            async with engine.generate(asked) as items:
                async for item in items:
                    if isinstance(item, Finish):
                        return None
    except CerebrumError as exc:
        log.error("self-check failed", model=model, reason=exc.message)
        return f"model {model}: {exc.message}"
    return f"model {model}: it generated nothing"


def _keys(settings: InferenceSettings) -> KeyRing:
    extra: tuple[Key, ...] = ()
    if settings.api_key is not None:
        plain = settings.api_key.get_secret_value().strip()
        if len(plain) < 16 or not plain.isascii():
            raise BadSettings("CEREBRUM_INFERENCE_API_KEY: at least 16 ASCII characters are needed")
        extra = (Key("environment", digest(plain.encode()), "-"),)
    if settings.api_keys_file is not None:
        return KeyRing(credential(settings.api_keys_file), extra=extra)
    if extra:
        return KeyRing(extra=extra)
    digests, plain_file = ensure_local_key()
    log.info("no CEREBRUM_INFERENCE_API_KEYS_FILE: using this user's own key", key_file=str(plain_file))
    return KeyRing(digests)
