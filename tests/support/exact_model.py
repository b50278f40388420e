"""The shipped model with its weights as 32-bit floats.

With quantised weights llama.cpp rounds the activations too, and the sums of a row depend on how many rows are computed
beside it: equal prompts whose rows met different neighbours differ by some hundredths in their logits, which flips a
greedy choice about once in a few hundred tokens. With floats they differ by some hundred-thousandths. So a text that
must be the same, whatever the batches look like, is asked of this model.
"""

from __future__ import annotations

from pathlib import Path

import llama_cpp.llama_cpp as api


def write_exact_model(source: Path, target: Path) -> Path:
    """Writes `source` anew to `target`, every tensor as float32; returns `target`."""
    params = api.llama_model_quantize_default_params()
    params.ftype = api.LLAMA_FTYPE_ALL_F32
    params.allow_requantize = True
    params.nthread = 1
    failed = api.llama_model_quantize(str(source).encode(), str(target).encode(), params)
    assert not failed, "llama.cpp did not write the model"
    return target
