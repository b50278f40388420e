from __future__ import annotations

from pathlib import Path

import pytest

from cerebrum_inference.modelfile import ModelFileError, check
from support.engine import model_row

SHIPPED = "fe62a9c65c068070a837bd736e0495654142ead9bef843555d022897824c0078"


def test_shipped_model_is_what_its_row_says(shipped_model: Path) -> None:
    check(
        model_row(shipped_model, sha256=SHIPPED),
        shipped_model,
    )


def test_flipped_bit_is_found(shipped_model: Path, tmp_path: Path) -> None:
    data = bytearray(shipped_model.read_bytes())
    data[3_000_000] ^= 1
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"has sha256 .* the manifest says fe62"):
        check(model_row(path, sha256=SHIPPED), path)


def test_truncated_file_is_found_by_its_size(shipped_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(shipped_model.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="has 1000 bytes; the manifest says 5957856"):
        check(model_row(path, size_bytes=5957856), path)


def test_missing_file_is_named(tmp_path: Path, shipped_model: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file"):
        check(model_row(shipped_model), tmp_path / "none.gguf")
