"""Embeddings of a model that is in memory: computed beside its streams, taking turns with their steps."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from cerebrum_inference.batching.options import WorkerOptions
from cerebrum_inference.llama import Model
from cerebrum_inference.llama.embedding import EmbeddingContext
from cerebrum_inference.turns import Turns


class Embedder:
    """Makes its context at the first text. Blocks: for threads of the event loop's pool, one text at a time."""

    def __init__(self, model: Model, turns: Turns, options: WorkerOptions) -> None:
        self._model = model
        self._turns = turns
        self._options = options
        self._lock = threading.Lock()
        self._context: EmbeddingContext | None = None

    def embed(self, tokens: Sequence[int]) -> list[float]:
        """The vector of a text, of length 1.

        Raises:
            LlamaError: the model gives no vectors.
        """
        with self._lock:
            if self._context is None:
                options = self._options
                self._context = EmbeddingContext(self._model, size=options.context, threads=options.threads)
            context = self._context
            total = np.zeros(self._model.embedding_size, np.float32)
            context.begin()
            for part in context.parts(tokens):
                with self._turns:
                    total += context.compute(part)
        length = float(np.linalg.norm(total))
        vector: list[float] = (total / length if length > 0 else total).tolist()
        return vector

    def close(self) -> None:
        with self._lock:
            if self._context is not None:
                self._context.close()
                self._context = None
