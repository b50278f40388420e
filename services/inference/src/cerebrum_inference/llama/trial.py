"""Lets llama.cpp load a file and compute a few tokens. Runs in a child process that may die of it (`gguf.child`).

`try_file` maps the file, so that nothing is copied or rearranged and the weights stay in the page cache; `greedy`
loads it the way the service does, so that the very code that will run is what is tried.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import llama_cpp.llama_cpp as api
import numpy as np
from numpy.ctypeslib import as_array  # not by its full name: that imports it late, when files cannot be read
from numpy.typing import NDArray

_MMAP, _NO_MMAP = 1, 0  # LLAMA_LOAD_MODE_*
_CELLS = 64
_BATCH = 32
_LOG_ERROR = 4
_KEPT_LINES = 4
_LOG_PREFIX = "llama_model_load: error loading model: "

_errors: deque[str] = deque(maxlen=_KEPT_LINES)


class TrialError(RuntimeError):
    """llama.cpp refuses the file, or computes nonsense with it."""


@dataclass(frozen=True, slots=True)
class Greedy:
    """Tokens of a greedy generation, and for each how far ahead of the second best it was."""

    tokens: tuple[int, ...]
    margins: tuple[float, ...]


@api.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes function type
def _keep_errors(level: int, text: bytes, _data: object) -> None:
    if level == _LOG_ERROR:
        _errors.append(text.decode("utf-8", "replace").strip()[:300])


def prepare() -> None:
    """Loads the library and its backends, which read files: to be called before the process is confined."""
    api.llama_log_set(_keep_errors, ctypes.c_void_p(0))
    api.llama_backend_init()


def system_info() -> str:
    """What the library was built for, as it says itself."""
    return str(api.llama_print_system_info().decode("ascii", "replace"))


def try_file(path: str, vocab_size: int) -> None:
    """Loads the file and computes three tokens, which touches every weight but the embeddings of other tokens.

    llama.cpp's own check of tensors stays off: it begins a thread for each of them, more than a unit's limits allow.

    Args:
        vocab_size: tokens that the header promises.

    Raises:
        TrialError: what llama.cpp said, or what it got wrong.
    """
    with _loaded(path, mapped=True) as model:
        vocab = api.llama_model_get_vocab(model)
        found = int(api.llama_vocab_n_tokens(vocab))
        if found != vocab_size:
            raise TrialError(f"llama.cpp finds {found} tokens, the header has {vocab_size}")
        if api.llama_model_has_encoder(model) or not api.llama_model_has_decoder(model):
            raise TrialError("the model does not generate text from left to right")
        first = max(0, int(api.llama_vocab_bos(vocab)))
        with _context(model) as context:
            logits = _decode(context, (first, vocab_size - 1), vocab_size)
            _decode(context, (int(logits.argmax()),), vocab_size)


def greedy(path: str, prompt: str, count: int) -> Greedy:
    """The `count` likeliest tokens after a prompt, one after the other.

    Raises:
        TrialError: the file does not load, or a step fails.
    """
    tokens: list[int] = []
    margins: list[float] = []
    with _loaded(path, mapped=False) as model:
        vocab = api.llama_model_get_vocab(model)
        vocab_size = int(api.llama_vocab_n_tokens(vocab))
        with _context(model) as context:
            step: Sequence[int] = _tokenize(vocab, prompt)
            while len(tokens) < count:
                logits = _decode(context, step, vocab_size)
                second, best = np.argpartition(logits, -2)[-2:]
                tokens.append(int(best))
                margins.append(float(logits[best] - logits[second]))
                step = (int(best),)
    return Greedy(tuple(tokens), tuple(margins))


@contextmanager
def _loaded(path: str, *, mapped: bool) -> Iterator[Any]:
    params = api.llama_model_default_params()
    params.load_mode = _MMAP if mapped else _NO_MMAP
    params.use_extra_bufts = not mapped
    params.n_gpu_layers = 0  # what is tried is the file; a GPU's driver cannot be confined with it
    model = api.llama_model_load_from_file(path.encode(), params)
    if not model:
        raise TrialError(_refusal("llama.cpp does not load the file"))
    try:
        yield model
    finally:
        api.llama_model_free(model)


@contextmanager
def _context(model: object) -> Iterator[Any]:
    params = api.llama_context_default_params()
    params.n_ctx = _CELLS
    params.n_batch = params.n_ubatch = _BATCH
    params.n_seq_max = 1
    params.n_threads = params.n_threads_batch = 1
    params.no_perf = True
    context = api.llama_init_from_model(model, params)
    if not context:
        raise TrialError(_refusal("llama.cpp makes no context for the model"))
    try:
        yield context
    finally:
        api.llama_free(context)


def _tokenize(vocab: object, text: str) -> list[int]:
    data = text.encode()
    buffer = (api.llama_token * _BATCH)()
    count = api.llama_tokenize(vocab, data, len(data), buffer, _BATCH, False, False)
    if count <= 0:
        raise TrialError(f"llama.cpp makes no tokens of {text!r}")
    return list(buffer[:count])


def _decode(context: object, tokens: Sequence[int], vocab_size: int) -> NDArray[np.float32]:
    """A copy of the logits after the last token."""
    buffer = (api.llama_token * len(tokens))(*tokens)
    code = api.llama_decode(context, api.llama_batch_get_one(buffer, len(tokens)))
    if code != 0:
        raise TrialError(_refusal(f"llama.cpp cannot compute with the model (code {code})"))
    pointer = api.llama_get_logits_ith(context, -1)
    if not pointer:
        raise TrialError("llama.cpp computes no probabilities with the model")
    logits: NDArray[np.float32] = as_array(pointer, (vocab_size,)).copy()
    if not np.isfinite(logits).all():
        raise TrialError(f"{int((~np.isfinite(logits)).sum())} of {vocab_size} computed values are no finite numbers")
    return logits


def _refusal(what: str) -> str:
    """With what llama.cpp logged, but for the lines that only say that it failed."""
    reasons = [line.removeprefix(_LOG_PREFIX) for line in _errors if not line.endswith("failed to load model")]
    return f"{what}: {'; '.join(reasons)}" if reasons else what
