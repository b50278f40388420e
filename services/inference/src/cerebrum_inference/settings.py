"""What the inference service is told by its environment (`CEREBRUM_INFERENCE_*`)."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from cerebrum_inference.manifest import shipped_manifest
from cerebrum_kit.settings import Alias, ServiceSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(value: object) -> object:
    """Accepts a JSON list, or addresses and CIDRs between commas."""
    parts = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    return [ipaddress.ip_network(str(part).strip()) for part in parts] if isinstance(parts, list) else parts


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class InferenceSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CEREBRUM_INFERENCE_", frozen=True, extra="ignore")

    aliases: ClassVar[tuple[Alias, ...]] = (
        Alias("VPS_BIND_IP", "CEREBRUM_INFERENCE_HOST"),
        Alias("CEREBRUM_VPS_PORT", "CEREBRUM_INFERENCE_PORT"),
        Alias("CEREBRUM_API_KEY", "CEREBRUM_INFERENCE_API_KEY"),
        Alias("ALLOWED_CM4_IP", "CEREBRUM_INFERENCE_ALLOWED_CLIENTS"),
        Alias("CEREBRUM_N_THREADS", "CEREBRUM_INFERENCE_THREADS"),
        Alias("LOG_LEVEL", "CEREBRUM_INFERENCE_LOG_LEVEL"),
    )
    without_effect: ClassVar[tuple[str, ...]] = ("MAX_CPU_PERCENT",)

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
    threads: int = Field(default_factory=_cores, ge=1, le=512)
    # Tokens of context per slot at most; a model's own limit is kept where it is smaller.
    max_context: int = Field(4096, ge=64, le=1_048_576)
    # Requests that may wait for a slot before the next one is refused.
    max_queue: int = Field(8, ge=0, le=10_000)
    # Memory that stays free for everything else on the machine when a model is loaded.
    reserve_mib: int = Field(1024, ge=0)
