"""What is kept of computed prefixes outside of the cells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cerebrum_inference.batching.store import PrefixStore
from cerebrum_inference.scheduling.prefix import common_prefix

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)


def store(capacity: int, *entries: tuple[str, tuple[int, ...], int]) -> PrefixStore:
    made = PrefixStore(capacity)
    for model, tokens, size in entries:
        made.add(model, tokens, b"x" * size)
    return made


def found(one: PrefixStore, prompt: tuple[int, ...], more_than: int = 0, model: str = "a") -> tuple[int, ...] | None:
    best = one.best(model, prompt, more_than=more_than)
    return None if best is None else best[1].tokens


def test_shorter_prefixes_go_when_a_longer_one_comes() -> None:
    one = store(100, ("a", (1, 2), 10), ("a", (3,), 10), ("b", (1, 2), 10), ("a", (1, 2, 3), 10))
    assert (len(one), one.size) == (3, 30)
    assert found(one, (1, 2)) == (1, 2, 3)
    assert found(one, (1, 2), model="b") == (1, 2)


def test_longest_unused_goes_first() -> None:
    one = store(30, ("a", (1, 1), 10), ("a", (2, 2), 10), ("a", (3, 3), 10))
    assert found(one, (1, 1)) == (1, 1)
    one.add("a", (4, 4), b"x" * 10)
    assert [found(one, (first, first)) for first in (1, 2, 3, 4)] == [(1, 1), None, (3, 3), (4, 4)]


def test_what_is_larger_than_the_store_or_empty_is_not_taken() -> None:
    one = store(30, ("a", (1, 1), 10), ("a", (2, 2), 31), ("a", (3, 3), 0))
    assert (len(one), one.size) == (1, 10)


def test_wants_what_nothing_here_begins_with() -> None:
    one = store(30, ("a", (1, 2, 3), 10))
    assert [one.wants("a", tokens) for tokens in ((1, 2), (1, 2, 3), (1, 2, 3, 4), (2,))] == [False, False, True, True]
    assert one.wants("b", (1, 2))
    assert not PrefixStore(0).wants("a", (1,))


def test_best_must_be_better_than_what_is_known() -> None:
    one = store(30, ("a", (1, 2, 3, 4), 10))
    assert found(one, (1, 2, 3, 9), more_than=2) == (1, 2, 3, 4)
    assert found(one, (1, 2, 3, 9), more_than=3) is None


def test_clear() -> None:
    one = store(30, ("a", (1,), 10))
    one.clear()
    assert (len(one), one.size, found(one, (1,))) == (0, 0, None)


@given(st.integers(0, 40), st.lists(st.tuples(st.sampled_from("ab"), TOKENS, st.integers(0, 20)), max_size=20), TOKENS)
def test_bounds_hold_and_the_best_is_the_best(
    capacity: int, entries: list[tuple[str, tuple[int, ...], int]], prompt: tuple[int, ...]
) -> None:
    one = PrefixStore(capacity)
    for model, tokens, size in entries:
        if one.wants(model, tokens):
            one.add(model, tokens, b"x" * size)
        assert one.size == sum(len(entry.data) for entry in one._entries) <= capacity
    kept = [entry.tokens for entry in one._entries if entry.model == "a"]
    assert not any(left != right and right[: len(left)] == left for left in kept for right in kept)
    assert len(set(kept)) == len(kept)
    best = one.best("a", prompt, more_than=0)
    most = max((common_prefix(tokens, prompt) for tokens in kept), default=0)
    assert (best[0] if best else 0) == most
