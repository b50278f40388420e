"""Log-probabilities of a row of logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cerebrum_inference.engine import TokenLogprob
from cerebrum_inference.llama.context import Floats
from cerebrum_inference.llama.model import Model


def report(model: Model, row: Floats, token: int, count: int) -> TokenLogprob:
    """What the model itself thought of `token`, before biases and samplers, with the `count` likeliest beside it."""
    values = row.astype(np.float64)
    highest = values.max()
    total = highest + np.log(np.exp(values - highest).sum())
    best: tuple[tuple[int, bytes, float], ...] = ()
    if count:
        ids = np.argpartition(values, -count)[-count:]
        ids = ids[np.argsort(-values[ids], kind="stable")]
        best = tuple((int(one), model.piece(int(one)), float(values[one] - total)) for one in ids)
    return TokenLogprob(token, model.piece(token), float(values[token] - total), best)


def report_prompt(model: Model, prompt: Sequence[int], at: int, rows: Floats, count: int) -> Iterator[TokenLogprob]:
    """What the model thought of a prompt's own tokens: the row at position i judges the token behind it.

    Args:
        at: position of the first row. The prompt's first token is judged by nobody.
    """
    if at == 0:
        yield TokenLogprob(prompt[0], model.piece(prompt[0]), None)
    for row, token in zip(rows, prompt[at + 1 :], strict=False):
        yield report(model, row, token, count)
