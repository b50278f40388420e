"""llama.cpp as a library: started once a process, its warnings in our log."""

from __future__ import annotations

import ctypes
import logging
from functools import lru_cache

import llama_cpp.llama_cpp as api

log = logging.getLogger(__name__)
_GGML_WARN, _GGML_ERROR = 3, 4
# It compares a model's training context with the pool of all sequences together, which is meant to be larger.
_BESIDE_THE_POINT = "n_ctx_seq ("


class LlamaError(RuntimeError):
    """llama.cpp refused or failed."""


@api.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes function type
def _forward_log(level: int, text: bytes, _data: object) -> None:
    if level in (_GGML_WARN, _GGML_ERROR):
        message = text.decode("utf-8", "replace").strip()
        if message and _BESIDE_THE_POINT not in message:
            log.warning("llama.cpp: %s", message)


@lru_cache(maxsize=1)
def init_backend() -> None:
    api.llama_log_set(_forward_log, ctypes.c_void_p(0))
    api.llama_backend_init()
