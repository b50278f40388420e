"""Decides which files of the store somebody still needs. No I/O: it is given names, texts and sizes.

A file is needed by the manifest of now, and by the manifest of every instance that is still on the host: a rollback
returns to one of those.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cerebrum_inference.store.errors import StoreError

_SETTING = re.compile(r"^CEREBRUM_INFERENCE_MANIFEST=['\"]?([^'\"\n]*?)['\"]?\s*$", re.MULTILINE)
_FILE = re.compile(r"[0-9a-f]{64}\.gguf")
_PART = re.compile(r"[0-9a-f]{64}\.part")
_MANIFEST = re.compile(r"manifest-[0-9a-f]{8}\.yml")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a manifest in the store lists: model ids by file name; None if it cannot be read."""

    files: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A file that the manifest of now does not list.

    Attributes:
        label: the model's id, where some manifest in the store tells it.
        needed_by: instances that a rollback can return to; empty if nobody needs the file.
    """

    name: str
    label: str
    size: int
    needed_by: tuple[str, ...]


def manifest_of(settings: str) -> str | None:
    """The manifest that an instance's settings name."""
    found = _SETTING.findall(settings)
    return found[-1] if found else None


def unlisted(
    present: Mapping[str, int],
    manifests: Mapping[str, Listed],
    instances: Mapping[str, str],
    current: Sequence[str],
) -> list[Unlisted]:
    """What is in the store and in no list of now, sorted by name. Files of other kinds are nobody's business.

    Args:
        present: sizes by name, of the store and its incoming folder.
        manifests: those in the store, by name.
        instances: by name, the manifest's name that each was started with.
        current: names that are needed now: model files, partial files and the manifest.

    Raises:
        StoreError: an instance's manifest cannot be read, so what it needs is not known.
    """
    needs: dict[str, list[str]] = {}
    for instance, manifest in sorted(instances.items()):
        if manifest not in manifests:
            continue  # it was removed by hand: the instance cannot start, and needs nothing
        files = manifests[manifest].files
        if files is None:
            raise StoreError(
                f"{manifest} cannot be read, and instance {instance} was started with it; nothing is removed. "
                "Restore that file, or remove the instance"
            )
        for name in (manifest, *files):
            needs.setdefault(name, []).append(instance)
    labels = {name: label for listed in manifests.values() for name, label in (listed.files or {}).items()}
    return [
        Unlisted(name, _label(name, labels), size, tuple(needs.get(name, ())))
        for name, size in sorted(present.items())
        if name not in current and (_FILE.fullmatch(name) or _PART.fullmatch(name) or _MANIFEST.fullmatch(name))
    ]


def _label(name: str, labels: Mapping[str, str]) -> str:
    if _MANIFEST.fullmatch(name):
        return name
    label = labels.get(name.removesuffix(".part").removesuffix(".gguf") + ".gguf", name[:12])
    return f"{label} (begun)" if _PART.fullmatch(name) else label
