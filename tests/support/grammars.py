"""llama.cpp's own judgement of a grammar and of texts, with the shipped model's vocabulary.

A token that a grammar does not allow must never be accepted: llama.cpp then throws through ctypes, which ends the
process. So each token is first put before the grammar as the only candidate.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import llama_cpp.llama_cpp as api

from support.repo import ROOT

MODEL = ROOT / "models" / "cerebrum-tiny.gguf"


@lru_cache(maxsize=1)
def vocabulary() -> Any:
    api.llama_backend_init()
    params = api.llama_model_default_params()
    params.vocab_only = True
    model = api.llama_model_load_from_file(str(MODEL).encode(), params)
    assert model
    return api.llama_model_get_vocab(model)


def tokens(text: str) -> list[int]:
    data = text.encode()
    room = len(data) + 8
    buffer = (api.llama_token * room)()
    count = api.llama_tokenize(vocabulary(), data, len(data), buffer, room, False, False)
    assert count >= 0
    return list(buffer[:count])


def is_grammar(grammar: str) -> bool:
    """Whether llama.cpp reads this grammar; it gives NULL where it does not."""
    pointer = api.llama_sampler_init_grammar(vocabulary(), grammar.encode(), b"root")
    if pointer:
        api.llama_sampler_free(pointer)
    return bool(pointer)


@contextmanager
def matcher(grammar: str) -> Iterator[Any]:
    pointer = api.llama_sampler_init_grammar(vocabulary(), grammar.encode(), b"root")
    assert pointer, grammar
    try:
        yield pointer
    finally:
        api.llama_sampler_free(pointer)


def allows(pointer: Any, token: int) -> bool:
    data = (api.llama_token_data * 1)(api.llama_token_data(token, 0.0, 0.0))
    array = api.llama_token_data_array(data, 1, -1, False)
    api.llama_sampler_apply(pointer, ctypes.byref(array))
    return not math.isinf(data[0].logit)


def accepts(grammar: str, text: str, *, whole: bool = True) -> bool:
    """Whether the grammar takes `text`, and, for a whole text, whether it may end there and only there."""
    with matcher(grammar) as pointer:
        for token in tokens(text):
            if not allows(pointer, token):
                return False
            api.llama_sampler_accept(pointer, token)
        return not whole or allows(pointer, api.llama_vocab_eos(vocabulary()))
