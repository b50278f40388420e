"""Weights and vocabulary of one file."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import llama_cpp.llama_cpp as api

from cerebrum_inference.llama.library import LlamaError, init_backend

# LLAMA_LOAD_MODE_NONE. With mmap (the default) a model whose weights are repacked for the CPU is in memory twice, once
# as pages of its file and once repacked; and a file that somebody truncates would end the process with SIGBUS.
_LOAD_WITHOUT_MMAP = 0


class Model:
    """Weights and vocabulary of one file.

    Args:
        gpu_layers: how many layers a GPU gets, where llama.cpp was compiled for one; -1 for all.
        progress: called with 0..1 while the file is read.

    Raises:
        LlamaError: llama.cpp does not load the file.
    """

    def __init__(self, path: str, *, gpu_layers: int = -1, progress: Callable[[float], None] | None = None) -> None:
        init_backend()
        params = api.llama_model_default_params()
        params.load_mode = _LOAD_WITHOUT_MMAP
        params.n_gpu_layers = gpu_layers

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
        self.embedding_size = int(api.llama_model_n_embd(pointer))
        self.end_tokens = frozenset(
            token for token in range(self.vocab_size) if api.llama_vocab_is_eog(self.vocab, token)
        )
        # Their text is never part of an answer, so a grammar, which judges tokens by it, must not be offered them.
        self.control_tokens = frozenset(
            token
            for token in range(self.vocab_size)
            if token not in self.end_tokens and api.llama_vocab_is_control(self.vocab, token)
        )
        self.special_tokens = self.end_tokens | self.control_tokens
        # A recurrent model's memory is one state: it cannot go back by a few tokens.
        self.can_forget = not (api.llama_model_is_recurrent(pointer) or api.llama_model_is_hybrid(pointer))
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
