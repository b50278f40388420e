"""A KV cache that several sequences share, and the batch that one step computes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Literal

import llama_cpp.llama_cpp as api
import numpy as np
import numpy.typing as npt

from cerebrum_inference.llama.library import LlamaError
from cerebrum_inference.llama.model import Model

Floats = npt.NDArray[np.float32]
# As a plain address: making a pointer object of it costs more than all the rest of a greedy choice.
_logits_address = api._lib["llama_get_logits"]
_logits_address.argtypes, _logits_address.restype = [ctypes.c_void_p], ctypes.c_void_p
_FULL = 1  # llama_decode: no room for the batch; the memory is as it was before


class Context:
    """One pool of cells for all sequences of a model (`kv_unified`), so that they can share a prefix.

    A step is `begin`, `add` and `extend` for its rows, `decode`, then `logits`.

    Args:
        cells: tokens that all sequences together can hold.
        sequences: how many there are, numbered from 0.
        batch: rows of a step at most.
        outputs: rows of a step that may have logits.
        flash_attention: None leaves it to llama.cpp.
    """

    def __init__(
        self,
        model: Model,
        *,
        cells: int,
        sequences: int,
        batch: int,
        outputs: int,
        threads: int,
        flash_attention: bool | None = None,
    ) -> None:
        params = api.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = params.n_ubatch = batch
        params.n_seq_max = sequences
        params.n_outputs_max = outputs
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        params.no_perf = True
        if flash_attention is not None:
            params.flash_attn_type = int(flash_attention)
        pointer = api.llama_init_from_model(model.pointer, params)
        if not pointer:
            raise LlamaError("llama.cpp makes no context of this size")
        self.pointer = pointer
        self.cells = int(api.llama_n_ctx(pointer))
        self.batch = batch
        self.outputs = outputs
        self.rows = 0
        self._vocab_size = model.vocab_size
        self._memory = api.llama_get_memory(pointer)
        self._threads = threads
        self._logits_at = 0
        self._logits: Floats = np.empty((0, 0), np.float32)
        self._tokens = (ctypes.c_int32 * batch)()
        self._positions = (ctypes.c_int32 * batch)()
        self._sequences = (ctypes.c_int32 * batch)()
        self._wanted = (ctypes.c_int8 * batch)()
        counts = (ctypes.c_int32 * batch)(*([1] * batch))
        first = ctypes.addressof(self._sequences)
        pointers = (ctypes.POINTER(ctypes.c_int32) * batch)(
            *(ctypes.cast(first + 4 * at, ctypes.POINTER(ctypes.c_int32)) for at in range(batch))
        )
        self._batch = api.llama_batch(0, self._tokens, None, self._positions, counts, pointers, self._wanted)

    def close(self) -> None:
        if self.pointer:
            api.llama_free(self.pointer)
            self.pointer = None

    def set_threads(self, count: int) -> None:
        if count != self._threads:
            api.llama_set_n_threads(self.pointer, count, count)
            self._threads = count

    def begin(self) -> None:
        """Starts an empty batch."""
        self.rows = 0

    def add(self, token: int, position: int, sequence: int) -> int:
        """A row whose logits are wanted; returns its index in the batch."""
        row = self.rows
        self._tokens[row] = token
        self._positions[row] = position
        self._sequences[row] = sequence
        self._wanted[row] = 1
        self.rows = row + 1
        return row

    def extend(
        self, tokens: Sequence[int], position: int, sequence: int, *, wanted: Literal["none", "last", "all"]
    ) -> int:
        """Rows of a prompt, and which of them shall have logits; returns the last one's index."""
        start, count = self.rows, len(tokens)
        end = start + count
        self._tokens[start:end] = list(tokens)
        self._positions[start:end] = list(range(position, position + count))
        self._sequences[start:end] = [sequence] * count
        self._wanted[start:end] = [int(wanted == "all")] * count
        self._wanted[end - 1] = int(wanted != "none")
        self.rows = end
        return end - 1

    def decode(self) -> bool:
        """Computes the batch; False where the pool has no room for it, and nothing has changed then.

        Raises:
            LlamaError: the step failed; `clear` before the context is used again.
        """
        self._batch.n_tokens = self.rows
        code = api.llama_decode(self.pointer, self._batch)
        if code == _FULL:
            return False
        if code != 0:
            raise LlamaError(f"llama_decode returned {code}")
        return True

    def logits(self) -> Floats:
        """Logits of the last step, float32 (outputs, vocabulary): a row for each that wanted some, in their order.

        llama.cpp's own memory: it may be written to, and the next step overwrites it.
        """
        start = _logits_address(self.pointer)
        if not start:
            raise LlamaError("the step has no logits")
        if start != self._logits_at:
            size = self.outputs * self._vocab_size
            memory = (ctypes.c_float * size).from_address(start)
            self._logits = np.ctypeslib.as_array(memory).reshape(self.outputs, self._vocab_size)
            self._logits_at = start
        return self._logits

    def truncate(self, sequence: int, length: int) -> bool:
        """Forgets a sequence from position `length` on; False where the model's memory cannot do that in part."""
        return bool(api.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def drop(self, sequence: int) -> None:
        """Forgets a sequence; cells that others share stay."""
        api.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def share(self, source: int, target: int, length: int) -> None:
        """Gives `target`, which is empty, the first `length` cells of `source` without copying them."""
        api.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def clear(self) -> None:
        api.llama_memory_clear(self._memory, True)

    def saved_size(self, sequence: int) -> int:
        """Bytes that `save` would give."""
        return int(api.llama_state_seq_get_size(self.pointer, sequence))

    def save(self, sequence: int) -> bytes:
        """A sequence's cells as bytes that `restore` understands; empty where llama.cpp gives none."""
        size = self.saved_size(sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = int(api.llama_state_seq_get_data(self.pointer, buffer, size, sequence))
        return bytes(memoryview(buffer)[:written])

    def restore(self, sequence: int, data: bytes) -> bool:
        """Fills an empty sequence; False where there is no room or the data is of another model."""
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        return bool(api.llama_state_seq_set_data(self.pointer, buffer, len(data), sequence))
