"""What the inference service is told by its environment (`CEREBRUM_INFERENCE_*`)."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from cerebrum_inference.machine import usable_cores
from cerebrum_inference.manifest import shipped_manifest
from cerebrum_kit.settings import Alias, ServiceSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(value: object) -> object:
    """Accepts a JSON list, or addresses and CIDRs between commas."""
    parts = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    return [ipaddress.ip_network(str(part).strip()) for part in parts] if isinstance(parts, list) else parts


class InferenceSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CEREBRUM_INFERENCE_", frozen=True, extra="ignore")

    aliases: ClassVar[tuple[Alias, ...]] = (
        Alias("VPS_BIND_IP", "CEREBRUM_INFERENCE_HOST"),
        Alias("CEREBRUM_VPS_PORT", "CEREBRUM_INFERENCE_PORT"),
        Alias("CEREBRUM_API_KEY", "CEREBRUM_INFERENCE_API_KEY"),
        Alias("ALLOWED_CM4_IP", "CEREBRUM_INFERENCE_ALLOWED_CLIENTS"),
        Alias("CEREBRUM_N_THREADS", "CEREBRUM_INFERENCE_THREADS"),
        Alias("MAX_CPU_PERCENT", "CEREBRUM_INFERENCE_MAX_CPU_PERCENT"),
        Alias("LOG_LEVEL", "CEREBRUM_INFERENCE_LOG_LEVEL"),
    )

    port: int = Field(9000, ge=0, le=65535)
    manifest: Path = Field(default_factory=shipped_manifest)
    default_model: str | None = None
    # A key file of digests; without one, a key is made for this user on first start.
    api_keys_file: Path | None = None
    # The original's way to give the key; read for its users, never needed by a deployment.
    api_key: SecretStr | None = None
    allowed_clients: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = ()
    # As many as the edge lets in by default; each slot costs a context's memory.
    slots: int = Field(2, ge=1, le=64)
    threads: int = Field(default_factory=usable_cores, ge=1, le=512)
    # Tokens of context per slot at most; a model's own limit is kept where it is smaller.
    max_context: int = Field(4096, ge=64, le=1_048_576)
    # Requests that may wait for a slot of one model, and of all models, before the next one is refused.
    max_queue: int = Field(8, ge=0, le=10_000)
    max_queue_total: int = Field(16, ge=0, le=10_000)
    # A person waits about so long before asking again.
    queue_seconds: float = Field(120.0, gt=0, le=3600)
    # New work is refused while other processes use more of the machine than that.
    max_cpu_percent: float = Field(70.0, gt=0, le=100)
    # What a step may take while streams wait for their next token: longer prompts are computed in parts of that time.
    step_ms: float = Field(250.0, ge=10, le=10_000)
    # Pieces of a stream that follow each other faster are sent as one event; 0 sends each.
    coalesce_ms: float = Field(20.0, ge=0, le=1000)
    # llama.cpp's flash attention; `auto` uses it for models of 128 MiB and more. See docs/performance.md.
    flash_attention: Literal["auto", "on", "off"] = "auto"
    # Layers of a model that a GPU computes, where llama.cpp was compiled for one; -1 for all.
    gpu_layers: int = Field(-1, ge=-1, le=10_000)
    # Guesses the next tokens from the text so far, where that pays.
    speculation: Literal["on", "off"] = "on"
    # Minutes without use after which a model leaves the memory; -1 keeps it.
    idle_unload_minutes: float = Field(60.0, ge=-1)
    # Computed prefixes: tokens that stay in the cache after a generation, and memory for those that do not.
    prefix_idle_tokens: int = Field(512, ge=0)
    prefix_store_mib: int = Field(256, ge=0)
    # Memory that stays free for everything else on the machine when a model is loaded.
    reserve_mib: int = Field(1024, ge=0)
