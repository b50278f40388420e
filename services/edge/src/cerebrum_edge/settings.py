"""What the edge is told by its environment (`CEREBRUM_EDGE_*`)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from cerebrum_kit.paths import local_key_file
from cerebrum_kit.settings import Alias, ServiceSettings

_URL = re.compile(r"https?://[^\s/?#@]+/?")
LOCAL_URL = "http://127.0.0.1:9000"


class Backend(BaseModel):
    """An inference service; its key stands in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    url: str
    api_key_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            parsed = httpx.URL(value) if _URL.fullmatch(value) else None
        except httpx.InvalidURL:
            parsed = None
        if parsed is None or not parsed.host:
            raise ValueError("write http://HOST:PORT, without a path or a password")
        return value.rstrip("/")


def _local_backend() -> tuple[Backend, ...]:
    return (Backend(name="local", url=LOCAL_URL, api_key_file=local_key_file()),)


class EdgeSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CEREBRUM_EDGE_", frozen=True, extra="ignore")

    aliases: ClassVar[tuple[Alias, ...]] = (
        Alias(
            "VPS_ENDPOINT",
            "CEREBRUM_EDGE_BACKENDS",
            lambda url: json.dumps([{"name": "vps", "url": url.strip()}]),
        ),
        Alias("VPS_API_KEY", "CEREBRUM_EDGE_API_KEY"),
        Alias("CEREBRUM_HOST", "CEREBRUM_EDGE_HOST"),
        Alias("CEREBRUM_PORT", "CEREBRUM_EDGE_PORT"),
        Alias("LOG_LEVEL", "CEREBRUM_EDGE_LOG_LEVEL"),
    )

    port: int = Field(7000, ge=0, le=65535)
    # A list, because several are to come; this version relays to one.
    backends: Annotated[tuple[Backend, ...], Field(min_length=1, max_length=1)] = Field(default_factory=_local_backend)
    # Presented to backends that have no api_key_file (the original's VPS_API_KEY).
    api_key: SecretStr | None = None
    # How long a start waits for a backend before it serves without one and says so.
    ready_timeout: float = Field(10.0, ge=0, le=600)
    # Keys that clients of the edge must present; without a file it is open to whoever reaches it.
    api_keys_file: Path | None = None
    # The original's limit, and what two slots behind a Pi can serve.
    max_inflight: int = Field(2, ge=1, le=1000)
    max_queue: int = Field(8, ge=0, le=10_000)
    queue_timeout: float = Field(30.0, gt=0, le=3600)
    connect_timeout: float = Field(5.0, gt=0, le=300)
    # Silence of a backend, its keep-alive comments included (every 15 s), after which it counts as dead.
    idle_timeout: float = Field(60.0, gt=0, le=3600)
    max_prompt_chars: int = Field(400_000, ge=1)

    @field_validator("api_key")
    @classmethod
    def _one_word(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        words = value.get_secret_value().split()
        if len(words) != 1 or not words[0].isascii():
            raise ValueError("expected one key, ASCII")
        return SecretStr(words[0])

    @model_validator(mode="before")
    @classmethod
    def _plain_key_means_a_plain_backend(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The original's VPS_API_KEY alone: its backend is where it always was, and needs no key file."""
        if values.get("api_key") and not values.get("backends"):
            return {**values, "backends": [{"name": "vps", "url": LOCAL_URL}]}
        return values
