"""Settings from the environment: checked at start, refused with one line that names the variable.

A service's settings class lists its fields, its prefix and the deprecated names that it still reads. `load` turns the
environment into that class or into a `SettingsError` whose text is ready for a person: which variable, what was given
(unless it is secret), what is allowed, and for a misspelt name the nearest one that exists.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cerebrum_kit.errors import ConfigurationError

# A URL with a password in it is refused, and must not be repeated with it.
_PASSWORD = re.compile(r"//[^/@\s]*@")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class BadSettings(ConfigurationError):
    """The environment does not make valid settings; the message has one line a problem."""


@dataclass(frozen=True, slots=True)
class Alias:
    """A deprecated variable, the one that replaces it, and how its value is carried over."""

    old: str
    new: str
    convert: Callable[[str], str] = str


class ServiceSettings(BaseSettings):
    """Base of every service's settings; frozen, so that nothing changes them behind a reader's back."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", nested_model_default_partial_update=False)

    aliases: ClassVar[tuple[Alias, ...]] = ()
    # Loopback: a service that works for whoever asks is opened on purpose, not by default.
    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    # Names under which clients reach the service, beside its addresses and the machine's own name.
    allowed_hosts: tuple[str, ...] = ()
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024)
    drain_seconds: float = Field(25.0, ge=0, le=3600)
    release: str = "development"
    log_level: str = "INFO"

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in LEVELS:
            raise ValueError(f"allowed are {', '.join(LEVELS)}")
        return value.upper()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings  # no .env file: what a service runs with is what its unit says


S = TypeVar("S", bound=ServiceSettings)


def load(cls: type[S], environ: Mapping[str, str] | None = None) -> tuple[S, list[str]]:
    """Settings of `cls` from the environment, and a line for each deprecated name that was read.

    Raises:
        BadSettings: with one line a problem.
    """
    given = dict(os.environ if environ is None else environ)
    prefix = cls.model_config["env_prefix"]
    notes = []
    for alias in cls.aliases:
        if given.get(alias.old, "") != "" and alias.new not in given:
            given[alias.new] = alias.convert(given[alias.old])
            notes.append(f"{alias.old} is deprecated; use {alias.new}")
    known = {f"{prefix}{name}".upper() for name in cls.model_fields}
    problems = [_unknown(name, known) for name in sorted(given) if name.startswith(prefix) and name not in known]
    values: dict[str, Any] = {}
    for field in cls.model_fields:
        name = f"{prefix}{field}".upper()
        if given.get(name, "") != "":  # an empty variable is an unset one
            values[field] = _decode(cls, field, given[name])
    try:
        settings = cls.model_validate(values)
    except ValidationError as exc:
        errors = exc.errors()
        inner = {error["loc"][0] for error in errors if len(error["loc"]) > 1}
        # A list that is empty because its only item was refused has one problem, not two.
        real = [error for error in errors if len(error["loc"]) != 1 or error["loc"][0] not in inner]
        problems += [_problem(cls, prefix, error, given) for error in real]
    if problems:
        raise BadSettings("\n".join(problems))
    return settings, notes


def credential(path: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Where a key file is read from: the service manager's credential of that name, else the path itself."""
    directory = (os.environ if environ is None else environ).get("CREDENTIALS_DIRECTORY")
    if directory:
        candidate = Path(directory) / path.name
        if candidate.exists():
            return candidate
    return path


def _decode(cls: type[ServiceSettings], field: str, raw: str) -> Any:
    """Lists and objects come as JSON; what is not JSON is left to the field's own validation to refuse."""
    text = raw.strip()
    annotation = str(cls.model_fields[field].annotation)
    if text[:1] in "[{" and ("list" in annotation or "tuple" in annotation or "dict" in annotation):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f"{name}: no such setting" + (f"; did you mean {near[0]}?" if near else "")


def _problem(cls: type[ServiceSettings], prefix: str, error: ErrorDetails, given: Mapping[str, str]) -> str:
    field = str(error["loc"][0]) if error["loc"] else ""
    name = f"{prefix}{field}".upper() if field else prefix
    inner = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"][1:])
    message = error["msg"].removeprefix("Value error, ")
    secret = field in cls.model_fields and "SecretStr" in str(cls.model_fields[field].annotation)
    value = error["input"] if inner else given.get(name)
    shown = "" if secret or not isinstance(value, str) else f" (given: {_PASSWORD.sub('//***@', value)!r})"
    return f"{name}{inner}: {message}{shown}"
