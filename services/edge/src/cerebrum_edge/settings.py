"""What the edge is told by its environment (`CEREBRUM_EDGE_*`)."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from cerebrum_kit.paths import local_key_file
from cerebrum_kit.settings import Alias, BadSettings, ServiceSettings

_URL = re.compile(r"https?://[^\s/?#@]+/?")
# Others serve behind a path too, and are told with OpenAI's `/v1` or without.
_FOREIGN_URL = re.compile(r"https?://[^\s/?#@]+(/[A-Za-z0-9._~-]+)*/?")
LOCAL_URL = "http://127.0.0.1:9000"
_OPEN = Path("open")


class Served(BaseModel):
    """A model that a server which is not ours has for the edge's clients.

    Attributes:
        name: what that server calls it.
        languages: those that are routed to it; by default those that no other model speaks.
        context: tokens, where the server does not say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=256)
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z0-9+#._-]{1,32}$")], ...] = ()
    context: int | None = Field(None, ge=1, le=100_000_000)


class Backend(BaseModel):
    """An inference service, ours or (`openai`) any that speaks OpenAI's API; its key stands in a file.

    Attributes:
        balanced: what answers there is a balancer before several of them.
        models: of a server that is not ours: what the edge's clients call them. By default all that it lists, by its
            own names.
        first_byte_timeout: instead of the edge's own, for a server that gives no sign of life while it reads a prompt.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    kind: Literal["cerebrum", "openai"] = "cerebrum"
    url: str
    api_key_file: Path | None = None
    balanced: bool = False
    models: dict[Annotated[str, Field(min_length=1, max_length=256)], Served] = Field(default_factory=dict)
    first_byte_timeout: float | None = Field(None, gt=0, le=3600)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str, info: ValidationInfo) -> str:
        foreign = info.data.get("kind") == "openai"
        try:
            parsed = urlsplit(value) if (_FOREIGN_URL if foreign else _URL).fullmatch(value) else None
            usable = parsed is not None and bool(parsed.hostname) and parsed.port != 0
        except ValueError:
            usable = False
        if not usable:
            allowed = "[/PATH], without a password" if foreign else ", without a path or a password"
            raise ValueError(f"write http://HOST:PORT{allowed}")
        return value.rstrip("/").removesuffix("/v1") if foreign else value.rstrip("/")

    @field_validator("models", mode="before")
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        """`{"coder": "Qwen/Qwen2.5-Coder"}` is the short form."""
        if not isinstance(value, dict):
            return value
        return {name: {"name": one} if isinstance(one, str) else one for name, one in value.items()}

    @model_validator(mode="after")
    def _ours_list_their_own(self) -> Backend:
        if self.kind == "cerebrum" and self.models:
            raise ValueError("models are for kind openai; a service of ours has them in its manifest")
        return self


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
    backends: Annotated[tuple[Backend, ...], Field(min_length=1, max_length=64)] = Field(default_factory=_local_backend)
    # Presented to backends that have no api_key_file (the original's VPS_API_KEY).
    api_key: SecretStr | None = None
    # How long a start waits for a backend before it serves without one and says so.
    ready_timeout: float = Field(10.0, ge=0, le=600)
    # Keys that clients of the edge must present, a file as the inference service has it; `open` admits whoever reaches
    # the port, which has to be said where that is more than this machine.
    api_keys_file: Path | None = None
    # The original's limit, and what two slots behind a Pi can serve.
    max_inflight: int = Field(2, ge=1, le=1000)
    max_queue: int = Field(8, ge=0, le=10_000)
    queue_timeout: float = Field(30.0, gt=0, le=3600)
    connect_timeout: float = Field(5.0, gt=0, le=300)
    # Silence before an answer's head. A backend that loads a model or has a queue begins to answer after five seconds.
    first_byte_timeout: float = Field(30.0, gt=0, le=3600)
    # Silence in the middle of an answer after which the backend counts as dead; its keep-alive comments, every five
    # seconds, are no silence.
    idle_timeout: float = Field(15.0, gt=0, le=3600)
    # From asking a backend to its last byte.
    total_timeout: float = Field(3600.0, gt=0, le=86_400)
    # How long a stream that was cut may stand still before it ends with an error.
    resume_timeout: float = Field(15.0, ge=0, le=3600)
    # When a backend is left alone, and for how long.
    failure_threshold: int = Field(5, ge=1, le=1000)
    cooldown: float = Field(10.0, gt=0, le=120)
    max_prompt_chars: int = Field(400_000, ge=1)
    # Prompts above that are condensed: the original's threshold.
    condense_min_chars: int = Field(1500, ge=0)

    @field_validator("backends")
    @classmethod
    def _names_differ(cls, value: tuple[Backend, ...]) -> tuple[Backend, ...]:
        names = [backend.name for backend in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two backends have the name {twice[0]}")
        return value

    @property
    def open(self) -> bool:
        """Whether it was said that everyone is welcome."""
        return self.api_keys_file == _OPEN

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


def refuse_unguarded(settings: EdgeSettings, addresses: Sequence[str]) -> None:
    """Raises BadSettings where others than this machine can reach the edge, and nothing says who may use it."""
    reachable = sorted(address for address in addresses if not _is_loopback(address))
    if reachable and settings.api_keys_file is None:
        raise BadSettings(
            f"CEREBRUM_EDGE_API_KEYS_FILE: the edge listens on {', '.join(reachable)}, where others can reach it, and "
            "nothing says who may use it; name a file with a line `id sha256hex created` for each key, or write `open` "
            "to admit everyone"
        )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
