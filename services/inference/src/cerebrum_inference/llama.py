"""The only module that calls llama.cpp. Thin: it owns pointers and turns return codes into exceptions.

Everything here may block; callers run it in threads of their own. ctypes releases the interpreter lock during calls.
A `Model` may be used from several threads (weights and vocabulary are read-only); a `Context` by one at a time.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Sequence
from functools import lru_cache

import llama_cpp.llama_cpp as api

from cerebrum_inference.engine import Sampling

log = logging.getLogger(__name__)
_LOAD_WITHOUT_MMAP = 0  # LLAMA_LOAD_MODE_NONE: mmap doubles resident memory, since weights are repacked for the CPU
_MAX_SEED = 0xFFFFFFFF
_PENALTY_WINDOW = 64  # tokens that a repeat penalty looks back at
_GGML_WARN, _GGML_ERROR = 3, 4


class LlamaError(RuntimeError):
    """llama.cpp refused or failed."""


@api.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes function type
def _forward_log(level: int, text: bytes, _data: object) -> None:
    if level in (_GGML_WARN, _GGML_ERROR):
        message = text.decode("utf-8", "replace").strip()
        if message:
            log.warning("llama.cpp: %s", message)


@lru_cache(maxsize=1)
def _init_backend() -> None:
    api.llama_log_set(_forward_log, ctypes.c_void_p(0))
    api.llama_backend_init()


class Model:
    """Weights and vocabulary of one file.

    Args:
        progress: called with 0..1 while the file is read.

    Raises:
        LlamaError: llama.cpp does not load the file.
    """

    def __init__(self, path: str, *, progress: Callable[[float], None] | None = None) -> None:
        _init_backend()
        params = api.llama_model_default_params()
        params.load_mode = _LOAD_WITHOUT_MMAP

        def report(value: float, _data: object) -> bool:
            if progress is not None:
                progress(value)
            return True

        callback = api.llama_progress_callback(report)
        params.progress_callback = callback
        pointer = api.llama_model_load_from_file(path.encode(), params)
        if not pointer:
            raise LlamaError("llama.cpp does not load this file")
        self.pointer = pointer
        self.vocab = api.llama_model_get_vocab(pointer)
        self.context_train = int(api.llama_model_n_ctx_train(pointer))
        self.vocab_size = int(api.llama_vocab_n_tokens(self.vocab))
        self._pieces: dict[int, bytes] = {}

    def close(self) -> None:
        if self.pointer:
            api.llama_model_free(self.pointer)
            self.pointer = None

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        data = text.encode()
        room = len(data) + 8
        while True:
            buffer = (api.llama_token * room)()
            count = api.llama_tokenize(self.vocab, data, len(data), buffer, room, add_special, parse_special)
            if count >= 0:
                return list(buffer[:count])
            room = -count

    def piece(self, token: int) -> bytes:
        """The token's bytes, which may be a part of a character; control tokens have none."""
        found = self._pieces.get(token)
        if found is None:
            room = 64
            while True:
                buffer = ctypes.create_string_buffer(room)
                count = api.llama_token_to_piece(self.vocab, token, buffer, room, 0, False)
                if count >= 0:
                    found = buffer.raw[:count]
                    break
                room = -count
            self._pieces[token] = found
        return found

    def is_end(self, token: int) -> bool:
        return bool(api.llama_vocab_is_eog(self.vocab, token))

    def special_text(self, token: int) -> str:
        """How a control token is written, for chat templates; empty for no token."""
        if token < 0:
            return ""
        text = api.llama_vocab_get_text(self.vocab, token)
        return text.decode("utf-8", "replace") if text else ""

    @property
    def bos(self) -> int:
        return int(api.llama_vocab_bos(self.vocab))

    @property
    def eos(self) -> int:
        return int(api.llama_vocab_eos(self.vocab))

    @property
    def fim_tokens(self) -> tuple[int, int, int] | None:
        """Ids of the prefix, suffix and middle tokens, or None."""
        ids = (
            int(api.llama_vocab_fim_pre(self.vocab)),
            int(api.llama_vocab_fim_suf(self.vocab)),
            int(api.llama_vocab_fim_mid(self.vocab)),
        )
        return ids if min(ids) >= 0 else None

    def metadata(self, key: str) -> str | None:
        """A metadata value of the file as text."""
        room = 1024
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = int(api.llama_model_meta_val_str(self.pointer, key.encode(), buffer, room))
            if size < 0:
                return None
            if size < room:
                return buffer.value.decode("utf-8", "replace")
            room = size + 1


class Context:
    """One sequence's KV cache over a model.

    Args:
        size: tokens that it holds.
        batch: tokens per prefill step: the time that a step takes is the time that a cancellation may wait.
    """

    def __init__(self, model: Model, *, size: int, threads: int, batch: int) -> None:
        params = api.llama_context_default_params()
        params.n_ctx = size
        params.n_batch = params.n_ubatch = min(batch, size)
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        pointer = api.llama_init_from_model(model.pointer, params)
        if not pointer:
            raise LlamaError("llama.cpp makes no context of this size")
        self._pointer = pointer
        self._memory = api.llama_get_memory(pointer)
        self.batch = int(params.n_batch)
        self.size = int(api.llama_n_ctx(pointer))
        self._buffer = (api.llama_token * self.batch)()

    def close(self) -> None:
        if self._pointer:
            api.llama_free(self._pointer)
            self._pointer = None

    def truncate(self, length: int) -> bool:
        """Forgets everything from position `length` on; False where the model's memory cannot do that."""
        return bool(api.llama_memory_seq_rm(self._memory, 0, length, -1))

    def clear(self) -> None:
        api.llama_memory_clear(self._memory, True)

    def decode(self, tokens: Sequence[int]) -> None:
        """Appends at most `batch` tokens; the last one's logits are what a sampler then reads.

        Raises:
            LlamaError: the step failed; the context must be cleared before it is used again.
        """
        count = len(tokens)
        self._buffer[:count] = list(tokens)
        code = api.llama_decode(self._pointer, api.llama_batch_get_one(self._buffer, count))
        if code != 0:
            raise LlamaError(f"llama_decode returned {code}")

    def sample(self, sampler: Sampler) -> int:
        return int(api.llama_sampler_sample(sampler.pointer, self._pointer, -1))


class Sampler:
    """A chain of llama.cpp samplers for one generation."""

    def __init__(self, model: Model, sampling: Sampling, *, random_seed: int) -> None:
        chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())

        def add(link: object) -> None:
            api.llama_sampler_chain_add(chain, link)

        penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
        if penalties != (1.0, 0.0, 0.0):
            add(api.llama_sampler_init_penalties(model.vocab_size, _PENALTY_WINDOW, *penalties))
        if sampling.temperature <= 0:
            add(api.llama_sampler_init_greedy())
        else:
            if sampling.top_k > 0:
                add(api.llama_sampler_init_top_k(sampling.top_k))
            if sampling.top_p < 1:
                add(api.llama_sampler_init_top_p(sampling.top_p, 1))
            if sampling.min_p > 0:
                add(api.llama_sampler_init_min_p(sampling.min_p, 1))
            add(api.llama_sampler_init_temp(sampling.temperature))
            seed = random_seed if sampling.seed is None else sampling.seed
            add(api.llama_sampler_init_dist(seed & _MAX_SEED))
        self.pointer = chain

    def close(self) -> None:
        if self.pointer:
            api.llama_sampler_free(self.pointer)
            self.pointer = None
