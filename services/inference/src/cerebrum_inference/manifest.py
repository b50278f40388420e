"""The manifest: which models exist, which files they are, what they are good for.

YAML or JSON, `models:` with one row a model. File names are relative to `store` (by default the manifest's own
folder) and cannot leave it.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cerebrum_kit.errors import ConfigurationError


class ManifestError(ConfigurationError):
    """The manifest cannot be used; the message names the file, the model and the field."""


class Source(BaseModel):
    """Where the file comes from: a repository of a model hub, pinned to a revision, or a file on the host itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str | None = Field(None, pattern=r"^[\w][\w.-]*(/[\w][\w.-]*)?$")
    file: str | None = Field(None, min_length=1)
    revision: str | None = Field(None, min_length=1)
    url: str | None = Field(None, pattern=r"^file:///[ -~]+$")

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        hub = (self.repo, self.file, self.revision)
        if (self.url is None) == (None in hub) or (self.url is not None and any(hub)):
            raise ValueError("needs repo, file and revision, or url (file:///path/on/the/host) alone")
        return self


class ModelRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    name: str
    file: str
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(gt=0)
    # Weights and compute buffers in memory; every token of context in every slot adds kv_bytes_per_token.
    ram_bytes: int = Field(gt=0)
    kv_bytes_per_token: int = Field(ge=0)
    context: int = Field(gt=0)
    languages: tuple[str, ...] = ()
    licence: str
    source: Source | None = None
    # The row that serves every language where nothing else is installed.
    fallback: bool = False
    # Minutes without use after which the model leaves the memory; -1 for never. Without it, the settings' own.
    idle_unload_minutes: float | None = Field(None, ge=-1, allow_inf_nan=False)
    # Never unloaded to make room for another, and never for its age.
    pinned: bool = False
    # Texts that many requests begin with: system messages, computed when the model is loaded and kept.
    pinned_system: tuple[str, ...] = Field((), max_length=8)

    def memory_needed(self, *, slots: int, max_context: int) -> int:
        """Bytes that the model takes when it is loaded."""
        return self.ram_bytes + self.kv_bytes_per_token * min(self.context, max_context) * slots

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str) -> str:
        if not value or "/" in value or "\\" in value or value in {".", ".."} or "\0" in value:
            raise ValueError("must be a plain file name inside the model store")
        return value


class Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    store: Path | None = None
    models: tuple[ModelRow, ...] = Field(min_length=1)

    @field_validator("models")
    @classmethod
    def _unique(cls, rows: tuple[ModelRow, ...]) -> tuple[ModelRow, ...]:
        ids = [row.id for row in rows]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"model ids stand twice: {', '.join(twice)}")
        return rows


def read_manifest(path: Path) -> Manifest:
    """Reads and checks a manifest; `store` of the result is always an absolute folder.

    Raises:
        ManifestError: no file, not YAML, or a row that is not valid.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ManifestError(f"manifest {path}: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ManifestError(f"manifest {path}: not valid YAML: {str(exc).splitlines()[0]}") from exc
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as exc:
        lines = [
            f"manifest {path}: {'.'.join(str(part) for part in error['loc'])}: "
            f"{error['msg'].removeprefix('Value error, ')}"
            for error in exc.errors()
        ]
        raise ManifestError("\n".join(lines)) from exc
    store = manifest.store or path.parent
    return manifest.model_copy(update={"store": (path.parent / store).resolve()})


def shipped_manifest() -> Path:
    """The manifest of the model that comes with Cerebrum: in an installed wheel, or in the repository."""
    package = Path(__file__).resolve().parent
    bundled = package / "_models" / "manifest.yml"
    return bundled if bundled.exists() else package.parents[3] / "models" / "manifest.yml"
