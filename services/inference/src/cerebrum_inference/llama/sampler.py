"""How the next token of one generation is chosen.

llama.cpp's samplers do the choosing. What is added here keeps them off a vocabulary of 150,000 where they need not see
it: the greedy choice is a maximum, and with `top_k` only the tokens that can be among the best k are handed over, which
changes nothing about the result.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llama_cpp.llama_cpp as api
import numpy as np

from cerebrum_inference.engine import Sampling
from cerebrum_inference.llama.context import Context, Floats
from cerebrum_inference.llama.library import LlamaError
from cerebrum_inference.llama.model import Model

_MAX_SEED = 0xFFFFFFFF
_PENALTY_WINDOW = 64  # tokens that a penalty looks back at
_LARGE_VOCABULARY = 8192  # from here on the prefilter is faster than what it saves
_BLOCKS = 1024
_MOST_PREFILTERED = 128  # above that the candidates are too many for it to pay
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_NEUTRAL = np.zeros(1, _CANDIDATE)  # a choice that only costs a draw


class Sampler:
    """The samplers of one generation, with what they remember of it.

    Args:
        random_seed: where the request names none.
        grammar: GBNF that the text follows.

    Raises:
        LlamaError: llama.cpp does not understand the grammar.
    """

    def __init__(self, model: Model, sampling: Sampling, *, random_seed: int, grammar: str | None = None) -> None:
        self._chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
        self._grammar = None
        self._vocab_size = model.vocab_size
        penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
        penalised = penalties != (1.0, 0.0, 0.0)
        self._greedy = greedy = sampling.temperature <= 0
        if penalised:
            self._add(api.llama_sampler_init_penalties(model.vocab_size, _PENALTY_WINDOW, *penalties))
        if greedy:
            self._add(api.llama_sampler_init_greedy())
        else:
            self._add_random(sampling, random_seed)
        large = model.vocab_size > _LARGE_VOCABULARY
        self._prefilter = (
            sampling.top_k if large and not greedy and not penalised and 0 < sampling.top_k <= _MOST_PREFILTERED else 0
        )
        self.plain_greedy = greedy and not penalised and grammar is None
        biases = dict(sampling.logit_bias)
        if sampling.ignore_eos:
            biases.update(dict.fromkeys(model.end_tokens, float("-inf")))
        if grammar is not None:
            biases.update(dict.fromkeys(model.control_tokens, float("-inf")))
        self._biased = np.fromiter(biases, np.int64, len(biases)) if biases else None
        self._bias = np.fromiter(biases.values(), np.float32, len(biases))
        self.biased = self._biased is not None
        if grammar is not None:
            self._grammar = api.llama_sampler_init_grammar(model.vocab, grammar.encode(), b"root")
            if not self._grammar:
                self.close()
                raise LlamaError("llama.cpp does not understand this grammar")

    def close(self) -> None:
        for pointer in (self._chain, self._grammar):
            if pointer:
                api.llama_sampler_free(pointer)
        self._chain = self._grammar = None

    def bias(self, row: Floats) -> None:
        """Applies the request's biases, if it is `biased`, to a row of logits, in place."""
        if self._biased is not None:
            row[self._biased] += self._bias

    def sample(self, row: Floats, context: Context, index: int) -> int | None:
        """Chooses a token and remembers it; None where the grammar allows none.

        Args:
            row: the logits, already biased: llama.cpp's own memory of batch row `index`.
        """
        if self.plain_greedy:
            return int(row.argmax())
        if self._grammar is None and not self._prefilter:
            return int(api.llama_sampler_sample(self._chain, context.pointer, index))  # remembers by itself
        token = self._choose(self._best(row) if self._prefilter else _all(row))
        if self._grammar is not None:
            if not self._allows(token):
                allowed = self._allowed(row)
                if not len(allowed):
                    return None
                token = self._choose(allowed)
            # Accepting what the grammar forbids would end the process: everything here was allowed by it.
            api.llama_sampler_accept(self._grammar, token)
        api.llama_sampler_accept(self._chain, token)
        return token

    def replay(self, tokens: Sequence[int]) -> bool:
        """Remembers tokens chosen elsewhere, with as many draws from the seed; False where the grammar objects."""
        for token in tokens:
            if self._grammar is not None:
                if not self._allows(token):
                    return False
                api.llama_sampler_accept(self._grammar, token)
            if not self._greedy:
                self._choose(_NEUTRAL.copy())
            api.llama_sampler_accept(self._chain, token)
        return True

    def _add(self, link: object) -> None:
        api.llama_sampler_chain_add(self._chain, link)

    def _add_random(self, sampling: Sampling, random_seed: int) -> None:
        if sampling.top_k > 0:
            self._add(api.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            self._add(api.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0:
            self._add(api.llama_sampler_init_min_p(sampling.min_p, 1))
        self._add(api.llama_sampler_init_temp(sampling.temperature))
        seed = random_seed if sampling.seed is None else sampling.seed
        self._add(api.llama_sampler_init_dist(seed & _MAX_SEED))

    def _best(self, row: Floats) -> np.ndarray:
        """Candidates that contain the best k: k blocks have a maximum of at least the k-th largest one."""
        usable = len(row) - len(row) % _BLOCKS
        maxima = row[:usable].reshape(_BLOCKS, -1).max(axis=1)
        threshold = np.partition(maxima, _BLOCKS - self._prefilter)[_BLOCKS - self._prefilter]
        return _candidates(row, np.flatnonzero(row >= threshold))

    def _choose(self, candidates: np.ndarray) -> int:
        array = _as_array(candidates)
        api.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def _allows(self, token: int) -> bool:
        one = np.zeros(1, _CANDIDATE)
        one["id"] = token
        array = _as_array(one)
        api.llama_sampler_apply(self._grammar, ctypes.byref(array))
        return bool(array.data[0].logit > float("-inf"))

    def _allowed(self, row: Floats) -> np.ndarray:
        candidates = _all(row)
        array = _as_array(candidates)
        api.llama_sampler_apply(self._grammar, ctypes.byref(array))
        return candidates[candidates["logit"] > -np.inf]


def _all(row: Floats) -> np.ndarray:
    return _candidates(row, np.arange(len(row), dtype=np.int32))


def _candidates(row: Floats, ids: np.ndarray) -> np.ndarray:
    found = np.empty(len(ids), _CANDIDATE)
    found["id"] = ids
    found["logit"] = row[ids]
    found["p"] = 0.0
    return found


def _as_array(candidates: np.ndarray) -> api.llama_token_data_array:
    """llama.cpp's view of the candidates, which must stay alive as long as it is used."""
    data = candidates.ctypes.data_as(api.llama_token_data_p)
    return api.llama_token_data_array(data, len(candidates), -1, False)
