"""The shipped model in arithmetic that does not depend on what is computed beside a row, as far as floats allow.

Two things of llama.cpp's make equal prompts differ in their logits when their rows met different neighbours: quantised
weights, for which the activations are rounded too (some hundredths), and the flash attention of the processor, whose
sums are halves (up to 0.02). Each flips a greedy choice at a near tie. With weights and cells as 32-bit floats and
without flash attention the difference is below 0.00002: a text that must be the same, whatever the batches look like,
is asked of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as api
import pytest


def write_exact_model(source: Path, target: Path) -> Path:
    """Writes `source` anew to `target`, every tensor as float32; returns `target`."""
    params = api.llama_model_quantize_default_params()
    params.ftype = api.LLAMA_FTYPE_ALL_F32
    params.allow_requantize = True
    params.nthread = 1
    failed = api.llama_model_quantize(str(source).encode(), str(target).encode(), params)
    assert not failed, "llama.cpp did not write the model"
    return target


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Contexts that are made in the block have cells of 32-bit floats, and no flash attention."""
    defaults = api.llama_context_default_params

    def exact() -> Any:
        params = defaults()
        params.type_k = params.type_v = api.GGML_TYPE_F32
        params.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return params

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "llama_context_default_params", exact)
        yield
