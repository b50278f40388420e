"""The choice of a backend: nobody who should be spared, the least busy, and one conversation to one cache."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_edge.guard.balance import Candidate, Nobody, affinity, choose, prefix_of
from cerebrum_edge.guard.breaker import Breaker, BreakerPolicy

POLICY = BreakerPolicy()
KEY = affinity("def f(): ...")


def candidate(name: str, *, outstanding: int = 0, opened_at: float | None = None, until: float = 0.0) -> Candidate:
    one = Candidate(name, Breaker(POLICY), outstanding=outstanding)
    if opened_at is not None:
        for _ in range(POLICY.failure_threshold):
            attempt = one.breaker.attempt(opened_at)
            assert attempt is not None
            one.breaker.failure(attempt, opened_at)
    one.aside.set_aside(until)
    return one


def name_of(chosen: Candidate | Nobody) -> str:
    assert isinstance(chosen, Candidate), chosen
    return chosen.name


@pytest.mark.parametrize(
    ("candidates", "tried", "expected"),
    [
        ([candidate("a", outstanding=1), candidate("b")], (), "b"),
        ([candidate("a", outstanding=1), candidate("b", opened_at=95)], (), "a"),
        ([candidate("a", outstanding=1), candidate("b", until=101)], (), "a"),
        ([candidate("a", outstanding=1), candidate("b", until=100)], (), "b"),
        ([candidate("a", outstanding=1), candidate("b")], ("b",), "a"),
        # A first try may probe; a retry does so only when nobody else is left.
        ([candidate("a", outstanding=1), candidate("b", opened_at=0)], (), "b"),
        ([candidate("a", outstanding=1), candidate("b", opened_at=0), candidate("c")], ("c",), "a"),
        ([candidate("b", opened_at=0), candidate("c")], ("c",), "b"),
    ],
)
def test_choice(candidates: list[Candidate], tried: tuple[str, ...], expected: str) -> None:
    assert name_of(choose(candidates, key=KEY, now=100, tried=tried)) == expected


@pytest.mark.parametrize(
    ("candidates", "tried", "seconds"),
    [
        ([candidate("a", opened_at=95), candidate("b", opened_at=92)], (), 2),
        ([candidate("a", opened_at=95), candidate("b", until=101)], (), 1),
        ([candidate("a", opened_at=95, until=130)], (), 30),
        ([candidate("a"), candidate("b", until=130)], ("a",), 0),
        ([candidate("a", until=104), candidate("b", until=130)], ("a",), 4),
    ],
)
def test_nobody_says_when_somebody_will_be_there(
    candidates: list[Candidate], tried: tuple[str, ...], seconds: float
) -> None:
    assert choose(candidates, key=KEY, now=100, tried=tried) == Nobody(seconds)


def test_no_candidates_are_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        choose([], key=KEY, now=0)


def test_a_probe_that_is_out_is_not_joined() -> None:
    one = candidate("a", opened_at=0)
    assert name_of(choose([one], key=KEY, now=10)) == "a"
    assert one.breaker.attempt(10) is not None
    assert choose([one], key=KEY, now=12) == Nobody(28)


names = st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True)
backends = st.lists(
    st.builds(
        candidate,
        st.sampled_from("abcdefgh"),
        outstanding=st.integers(0, 3),
        opened_at=st.none() | st.sampled_from([0.0, 95.0]),
        until=st.sampled_from([0.0, 103.0]),
    ),
    min_size=1,
    unique_by=lambda one: one.name,
)


@given(backends, st.sets(st.sampled_from("abcdefgh")), st.binary(min_size=1))
def test_chosen_is_free_untried_least_busy_and_gets_its_attempt(
    candidates: list[Candidate], tried: set[str], key: bytes
) -> None:
    chosen = choose(candidates, key=key, now=100, tried=tried)
    free = [one for one in candidates if one.name not in tried and one.retry_in(100) == 0]
    assert choose(list(reversed(candidates)), key=key, now=100, tried=tried) == chosen, "the order says nothing"
    if isinstance(chosen, Nobody):
        assert not free
        assert chosen.retry_in == min(one.retry_in(100) for one in candidates)
        return
    assert chosen in free
    closed = [one for one in free if one.breaker.state(100) == "closed"]
    alike = closed if tried and closed else free
    assert chosen in alike
    assert chosen.outstanding == min(one.outstanding for one in alike)
    assert chosen.breaker.attempt(100) is not None


@given(names, st.binary(), st.data())
def test_only_the_conversations_of_a_backend_that_goes_are_moved(
    names: list[str], key: bytes, data: st.DataObject
) -> None:
    before = name_of(choose([candidate(name) for name in names], key=key, now=0))
    gone = data.draw(st.sampled_from(names))
    rest = [candidate(name) for name in names if name != gone]
    if gone != before:
        assert name_of(choose(rest, key=key, now=0)) == before


def test_conversations_are_spread() -> None:
    three = [candidate(name) for name in ("vps", "box", "spare")]
    counts = Counter(name_of(choose(three, key=affinity(f"prompt {number}"), now=0)) for number in range(3000))
    assert all(850 < counts[one.name] < 1150 for one in three), counts


def test_conversation_is_known_by_its_beginning() -> None:
    beginning = "x" * 1000
    assert affinity(beginning) == affinity(beginning + "a later turn")
    assert affinity(beginning) != affinity("y" + beginning)
    assert affinity("\ud800") != affinity("")


def test_balancer_is_told_the_same_of_one_conversation_and_other_things_of_others() -> None:
    told = prefix_of("m", affinity("x" * 2000))
    assert told == prefix_of("m", affinity("x" * 2000 + "and so on"))
    assert len({told, prefix_of("n", affinity("x" * 2000)), prefix_of("m", affinity("y"))}) == 3
    assert re.fullmatch("[0-9a-f]{16}", told)
