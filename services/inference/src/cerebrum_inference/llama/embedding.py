"""A context that gives vectors instead of tokens."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as api
import numpy as np

from cerebrum_inference.llama.context import Floats
from cerebrum_inference.llama.library import LlamaError
from cerebrum_inference.llama.model import Model

_POOLING_NONE = 0
_CHUNK = 64  # rows of a step: other work waits for its end


class EmbeddingContext:
    """Vectors of texts, one text at a time.

    A model that was made for embeddings says how its tokens' vectors become one, and sees a text at once. Of a model
    that was made to write, the mean over the text's tokens is taken, and the text may come in parts.

    Args:
        size: tokens that a text may have.
    """

    def __init__(self, model: Model, *, size: int, threads: int) -> None:
        self.pooled = model.metadata(f"{model.metadata('general.architecture')}.pooling_type") not in (None, "0")
        self._dimensions = model.embedding_size
        params = api.llama_context_default_params()
        params.n_ctx = size
        params.n_batch = params.n_ubatch = size if self.pooled else min(_CHUNK, size)
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = threads
        params.embeddings = True
        params.no_perf = True
        if not self.pooled:
            params.pooling_type = _POOLING_NONE
        pointer = api.llama_init_from_model(model.pointer, params)
        if not pointer:
            raise LlamaError("llama.cpp makes no context for embeddings of this model")
        self._pointer = pointer
        self._memory = api.llama_get_memory(pointer)
        self._rows = int(params.n_batch)
        self._tokens = (ctypes.c_int32 * self._rows)()

    def close(self) -> None:
        if self._pointer:
            api.llama_free(self._pointer)
            self._pointer = None

    def parts(self, tokens: Sequence[int]) -> list[Sequence[int]]:
        """The steps in which a text is computed."""
        return [tokens[at : at + self._rows] for at in range(0, len(tokens), self._rows)]

    def begin(self) -> None:
        if self._memory:
            api.llama_memory_clear(self._memory, True)

    def compute(self, part: Sequence[int]) -> Floats:
        """The next part of a text: the sum of its tokens' vectors, or the one vector of the whole; float32 (dims,)."""
        count = len(part)
        self._tokens[:count] = list(part)
        code = api.llama_decode(self._pointer, api.llama_batch_get_one(self._tokens, count))
        if code != 0:
            raise LlamaError(f"llama_decode returned {code}")
        if self.pooled:
            whole: Floats = self._vectors(api.llama_get_embeddings_seq(self._pointer, 0), 1)[0].copy()
            return whole
        total: Floats = self._vectors(api.llama_get_embeddings(self._pointer), count).sum(axis=0)
        return total

    def _vectors(self, pointer: Any, count: int) -> Floats:
        start = ctypes.cast(pointer, ctypes.c_void_p).value
        if not start:
            raise LlamaError("llama.cpp gave no vectors")
        memory = (ctypes.c_float * (count * self._dimensions)).from_address(start)
        vectors: Floats = np.ctypeslib.as_array(memory).reshape(count, self._dimensions)
        return vectors
