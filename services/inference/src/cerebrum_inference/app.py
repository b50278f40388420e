"""Puts the inference service together."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict

from fastapi import FastAPI

from cerebrum_inference import __version__
from cerebrum_inference.api import native, openai
from cerebrum_inference.api.common import Resources
from cerebrum_inference.embedded import ensure_local_key
from cerebrum_inference.engine import Engine, Finish, Generation, Sampling
from cerebrum_inference.loaded import LlamaModel
from cerebrum_inference.manifest import Manifest, ModelRow, read_manifest
from cerebrum_inference.metrics import InferenceMetrics
from cerebrum_inference.registry import ModelRegistry, available_memory
from cerebrum_inference.settings import InferenceSettings
from cerebrum_inference.simple import SimpleEngine
from cerebrum_kit.app import AppOptions, build_app
from cerebrum_kit.errors import CerebrumError
from cerebrum_kit.keys import Key, KeyRing, digest
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.logs import get_logger
from cerebrum_kit.metrics import new_registry
from cerebrum_kit.settings import BadSettings, credential

log = get_logger(__name__)

MakeEngine = Callable[[ModelRegistry, InferenceMetrics], Engine]


class State(TypedDict):
    resources: Resources


def create_app(settings: InferenceSettings, *, make_engine: MakeEngine | None = None) -> FastAPI:
    """The inference app. The default model is loaded, and has generated a token, before it serves.

    Args:
        make_engine: for another engine than the settings' own.

    Raises:
        ConfigurationError: the manifest, the default model or the keys cannot be used.
    """
    manifest = read_manifest(settings.manifest)
    default_model = choose_default(manifest, settings.default_model)
    keys = _keys(settings)
    lifecycle = Lifecycle()
    metrics_registry = new_registry("inference", __version__, settings.release)
    metrics = InferenceMetrics(metrics_registry, [row.id for row in manifest.models])

    def make_model(row: ModelRow, path: Path) -> LlamaModel:
        return LlamaModel(
            row, str(path), slots=settings.slots, threads=settings.threads, max_context=settings.max_context
        )

    def simple_engine(registry: ModelRegistry, metrics: InferenceMetrics) -> Engine:
        return SimpleEngine(registry, slots=settings.slots, max_queue=settings.max_queue, metrics=metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        registry = ModelRegistry(
            manifest,
            make=make_model,
            memory_needed=lambda row: row.memory_needed(slots=settings.slots, max_context=settings.max_context),
            metrics=metrics,
            available_memory=available_memory,
            reserve_bytes=settings.reserve_mib * 1024 * 1024,
        )
        engine = (make_engine or simple_engine)(registry, metrics)
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
            open_paths=("/health",),
            allowed_hosts=settings.allowed_hosts,
            allowed_clients=settings.allowed_clients,
        )
    )
    app.include_router(native.router)
    app.include_router(openai.router)
    return app


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
