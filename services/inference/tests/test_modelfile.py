from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_inference.manifest import ModelRow
from cerebrum_inference.modelfile import ModelFileError, check, check_header

SHIPPED = "fe62a9c65c068070a837bd736e0495654142ead9bef843555d022897824c0078"


def row(path: Path, **change: object) -> ModelRow:
    facts: dict[str, object] = {
        "id": "m",
        "name": "M",
        "file": path.name,
        "size_bytes": path.stat().st_size,
        "ram_bytes": 1,
        "kv_bytes_per_token": 1,
        "context": 64,
        "licence": "MIT",
    }
    return ModelRow.model_validate({**facts, **change})


def test_shipped_model_is_what_its_row_says(shipped_model: Path) -> None:
    check(
        row(shipped_model, sha256=SHIPPED),
        shipped_model,
        verify_hash=True,
    )


def test_flipped_bit_is_found(shipped_model: Path, tmp_path: Path) -> None:
    data = bytearray(shipped_model.read_bytes())
    data[3_000_000] ^= 1
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"has sha256 .* the manifest says fe62"):
        check(row(path, sha256=SHIPPED), path, verify_hash=True)


def test_truncated_file_is_found_by_its_size(shipped_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(shipped_model.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="has 1000 bytes; the manifest says 5957856"):
        check(row(path, size_bytes=5957856), path, verify_hash=False)


def test_missing_file_is_named(tmp_path: Path, shipped_model: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file"):
        check(row(shipped_model), tmp_path / "none.gguf", verify_hash=False)


@pytest.mark.parametrize(
    "head",
    [
        b"GGUF",
        b"GGML" + bytes(20),
        struct.pack("<4sIQQ", b"GGUF", 99, 1, 1),
        struct.pack("<4sIQQ", b"GGUF", 3, 2**63, 1),
        struct.pack("<4sIQQ", b"GGUF", 3, 1, 2**63),
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1),
        struct.pack(">4sIQQ", b"GGUF", 3, 1, 1),
    ],
)
def test_bad_header_is_refused(head: bytes) -> None:
    with pytest.raises(ModelFileError):
        check_header(head, "m.gguf")


@given(st.binary(max_size=40))
def test_any_header_is_taken_or_refused(head: bytes) -> None:
    try:
        check_header(head, "m.gguf")
    except ModelFileError:
        return
    assert head.startswith(b"GGUF")
