"""What the engine decides, by tables and by properties."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_inference.scheduling.contention import CpuSample, ForeignCpu, ThreadGovernor, too_busy
from cerebrum_inference.scheduling.lookup import LONGEST_DRAFT, TILE, DraftGate, PromptLookup, StepCosts
from cerebrum_inference.scheduling.pacing import TILE_ROWS, PrefillPacer
from cerebrum_inference.scheduling.plan import Prompt, came_together, share_rows
from cerebrum_inference.scheduling.prefix import Holder, common_prefix, place, to_evict
from cerebrum_inference.scheduling.queueing import FairQueue
from cerebrum_inference.scheduling.rates import Rates, Work, seconds_to_wait

TOKENS = st.lists(st.integers(0, 3), max_size=200)


# Sharing rows of a step


@given(st.lists(st.tuples(st.integers(1, 2000), st.floats(0, 100)), max_size=8), st.integers(0, 512))
def test_rows_are_shared_out_and_never_more_than_there_are(prompts: list[tuple[int, float]], rows: int) -> None:
    waiting = [Prompt(slot, left, left, 0.0, waited) for slot, (left, waited) in enumerate(prompts)]
    shares = share_rows(waiting, rows)
    assert sum(count for _, count in shares) == min(rows, sum(left for left, _ in prompts))
    assert all(0 < count <= prompts[slot][0] for slot, count in shares)
    assert len({slot for slot, _ in shares}) == len(shares)


def test_shortest_prompt_goes_first_until_a_long_one_has_waited() -> None:
    assert share_rows([Prompt(0, 1000, 1000, 0, 0.0), Prompt(1, 50, 50, 0, 0.0)], 64) == [(1, 50), (0, 14)]
    assert share_rows([Prompt(0, 1000, 1000, 0, 10.0), Prompt(1, 50, 50, 0, 0.0)], 64) == [(0, 64)]


def test_prompts_of_one_moment_do_not_make_way_for_each_other() -> None:
    burst = [Prompt(4, 127, 127, 10.2, 0.0), Prompt(5, 127, 127, 10.3, 0.0)]
    assert came_together(burst, 10.0, 508) == burst
    assert came_together(burst, 5.0, 508) == [], "the stream was there long before"
    assert came_together([Prompt(4, 1950, 1950, 10.2, 0.0)], 10.0, 508) == [], "more than one step"
    assert came_together([Prompt(4, 400, 1950, 10.2, 0.0)], 10.0, 508) == [], "the rest of a long one"


# Pacing


def settled(pacer: PrefillPacer, row: float, small: float, full: float, context: float = 0.0) -> PrefillPacer:
    """A pacer that has seen a machine of these seconds a row."""
    for _ in range(100):
        pacer.observe(TILE_ROWS, context, TILE_ROWS * (row + full))
        pacer.observe(16, context, 16 * (row + small))
    return pacer


@pytest.mark.parametrize(
    ("row", "rows"),
    [
        (0.0004, 512 - 1),  # a fast machine: a whole batch
        (0.0015, 128 - 1),
        (0.003, 64 - 1),
        (0.0045, 64 - 1),  # a little over the budget, and still the better choice
        (0.0120, 16 - 1),  # a large model: small steps
    ],
)
def test_a_step_with_streams_takes_what_the_budget_allows(row: float, rows: int) -> None:
    pacer = PrefillPacer(budget_seconds=0.25, lone_seconds=4.0, most_rows=512)
    assert settled(pacer, row, 0.0, 0.0).rows(0, streams=1) == rows


def test_small_steps_that_are_no_faster_are_not_taken() -> None:
    """Attention row by row behind a long context: 16 rows take nearly as long as 64 in tiles."""
    pacer = PrefillPacer(budget_seconds=0.25, lone_seconds=4.0, most_rows=512)
    assert settled(pacer, 0.003, 0.026, 0.0035, context=2000).rows(2000, streams=1) == TILE_ROWS - 1


def test_a_step_alone_takes_the_batch_or_some_seconds() -> None:
    pacer = PrefillPacer(budget_seconds=0.25, lone_seconds=4.0, most_rows=512)
    assert settled(pacer, 0.003, 0.0, 0.0).rows(0, streams=0) == 512
    assert settled(pacer, 0.03, 0.0, 0.0).rows(0, streams=0) == 128


def test_a_step_is_filled_where_that_is_faster() -> None:
    pacer = PrefillPacer(budget_seconds=0.25, lone_seconds=4.0, most_rows=512)
    settled(pacer, 0.003, 0.005, 0.0005, context=400)
    assert pacer.filling(48, 400) == TILE_ROWS - 48
    assert pacer.filling(8, 400) == 0
    assert pacer.filling(TILE_ROWS, 400) == 0


@given(
    st.lists(st.tuples(st.integers(1, 512), st.floats(0, 32768), st.floats(0, 100)), max_size=30),
    st.floats(0, 32768),
    st.integers(0, 64),
)
def test_a_pacer_always_finds_rows(seen: list[tuple[int, float, float]], context: float, streams: int) -> None:
    pacer = PrefillPacer(budget_seconds=0.25, lone_seconds=4.0, most_rows=512)
    for rows, position, seconds in seen:
        pacer.observe(rows, position, seconds)
    assert 1 <= pacer.rows(context, streams=streams) <= 512


# Prefixes


@given(TOKENS, TOKENS)
def test_common_prefix_is_the_longest(left: list[int], right: list[int]) -> None:
    size = common_prefix(left, right)
    assert left[:size] == right[:size]
    assert size in (len(left), len(right)) or left[size] != right[size]


def holder(sequence: int, tokens: list[int], state: str = "idle", used: float = 0.0) -> Holder:
    return Holder(sequence, tokens, state, used)  # type: ignore[arg-type]  # a literal


LONG = list(range(200))


@pytest.mark.parametrize(
    ("holders", "target", "source", "keep"),
    [
        ([holder(0, []), holder(1, [7] * 50)], 0, None, 0),  # nothing in common: the empty one
        ([holder(0, [5] * 9, used=2), holder(1, [7] * 50, used=1)], 1, None, 0),  # ... the longest unused one
        ([holder(0, LONG, used=1), holder(1, [])], 0, None, 200),  # a conversation goes on where it was
        ([holder(0, LONG + [9] * 300, used=1), holder(1, [])], 1, 0, 200),  # the larger part is somebody else's
        ([holder(0, LONG, "busy"), holder(1, [7])], 1, 0, 200),  # shared with one that still runs
        ([holder(0, [7]), holder(2, LONG, "pinned")], 0, 2, 200),
        ([holder(0, LONG + [9] * 300)], 0, None, 200),  # the only one
        ([holder(0, LONG[:8])], 0, None, 8),
    ],
)
def test_a_prompt_goes_where_most_of_it_is_known(
    holders: list[Holder], target: int, source: int | None, keep: int
) -> None:
    found = place([*LONG, 1000], holders)
    assert found is not None
    assert (found.target, found.source, found.keep) == (target, source, keep)


def test_no_idle_sequence_is_no_place() -> None:
    assert place(LONG, [holder(0, [], "busy"), holder(1, LONG, "pinned")]) is None


@given(st.lists(TOKENS, min_size=1, max_size=6), TOKENS.filter(len))
def test_a_place_never_promises_what_is_not_there(contents: list[list[int]], prompt: list[int]) -> None:
    holders = [holder(at, tokens, used=float(at)) for at, tokens in enumerate(contents)]
    found = place(prompt, holders)
    assert found is not None
    origin = contents[found.target if found.source is None else found.source]
    assert origin[: found.keep] == prompt[: found.keep]
    assert found.keep < len(prompt), "the last token is always computed"
    assert found.source != found.target


@given(st.lists(TOKENS, max_size=8), st.integers(0, 500))
def test_eviction_stops_as_soon_as_it_may(contents: list[list[int]], most: int) -> None:
    holders = [holder(at, tokens, used=float(-at)) for at, tokens in enumerate(contents)]
    gone = to_evict(holders, most_tokens=most)
    left = sum(len(one.tokens) for one in holders if one.sequence not in gone)
    assert left <= most
    if gone:
        assert left + len(contents[gone[-1]]) > most, "one too many"


# Prompt lookup


@given(TOKENS, st.integers(1, LONGEST_DRAFT))
def test_a_draft_is_what_followed_the_same_end_before(tokens: list[int], size: int) -> None:
    draft = PromptLookup(tokens).draft(size)
    assert len(draft) <= size
    if draft:
        end = tokens[-2:]
        places = [at for at in range(2, len(tokens)) if tokens[at - 2 : at] == end]
        assert any(tokens[at : at + len(draft)] == draft for at in places)


def test_a_copied_text_is_guessed() -> None:
    code = list(range(50))
    lookup = PromptLookup([*code, 99, 0, 1, 2, 3])
    assert lookup.draft(4) == [4, 5, 6, 7]
    lookup.append(77)
    assert lookup.draft(4) == []


def test_drafts_stop_when_they_do_not_hold_and_are_tried_again() -> None:
    gate, costs = DraftGate(), [1.0, 1.25, 1.5, 1.75]
    assert gate.size(costs) > 0
    for _ in range(30):
        gate.observe(3, 0)
    sizes = [gate.size(costs) for _ in range(200)]
    assert sizes.count(0) > 150
    assert max(sizes) > 0, "never tried again"


def test_drafts_are_long_when_they_hold() -> None:
    gate = DraftGate()
    for _ in range(30):
        gate.observe(3, 3)
    assert gate.size([1.0, 1.3, 1.4, 1.5, 1.6]) == 4


def test_drafts_fill_the_tile_that_costs_less() -> None:
    costs = StepCosts(16)
    for rows, seconds in ((1, 0.026), (2, 0.042), (3, 0.053), (4, 0.037)):
        for _ in range(5):
            costs.observe(rows, seconds)
    gate = DraftGate()
    assert gate.size(costs.drafts(1, 3)) == 3


def test_rows_are_padded_only_where_that_is_faster() -> None:
    costs = StepCosts(16)
    assert costs.padding(3) == 0, "nothing is known"
    for _ in range(5):
        costs.observe(3, 0.053)
    assert costs.padding(3) == 1, "the other way was never tried"
    for _ in range(5):
        costs.observe(4, 0.037)
    assert [costs.padding(3) for _ in range(20)] == [1] * 20
    for _ in range(60):
        costs.observe(4, 0.080)
    assert costs.padding(3) == 0
    assert costs.padding(TILE) == 0
    assert costs.padding(16) == 0


# The queue


@dataclass(frozen=True)
class Ticket:
    number: int
    client: str
    cost: float = 1.0
    deadline: float | None = None


def test_a_client_with_one_request_is_not_behind_one_with_many() -> None:
    queue: FairQueue[Ticket] = FairQueue()
    for number in range(5):
        queue.offer(Ticket(number, "many"), 10)
    queue.offer(Ticket(9, "one"), 10)
    taken = [queue.take() for _ in range(6)]
    assert [one.number for one in taken if one][:2] in ([0, 9], [9, 0])
    assert [one.number for one in taken if one and one.client == "many"] == [0, 1, 2, 3, 4]


def test_shares_are_counted_in_work_not_in_requests() -> None:
    queue: FairQueue[Ticket] = FairQueue()
    for number in range(20):
        queue.offer(Ticket(number, "large", cost=10), 100)
        queue.offer(Ticket(100 + number, "small", cost=1), 100)
    first = [queue.take() for _ in range(12)]
    assert sum(one.client == "small" for one in first if one) >= 9


def test_a_pause_gives_no_credit() -> None:
    queue: FairQueue[Ticket] = FairQueue()
    for number in range(50):
        queue.offer(Ticket(number, "busy"), 100)
    for _ in range(20):
        queue.take()
    for number in range(20):
        queue.offer(Ticket(100 + number, "late"), 100)
    next_ten = [queue.take() for _ in range(10)]
    assert 4 <= sum(one.client == "late" for one in next_ten if one) <= 6


def test_a_full_queue_gives_up_the_newest_of_whoever_has_most() -> None:
    queue: FairQueue[Ticket] = FairQueue()
    for number in range(4):
        assert queue.offer(Ticket(number, "many"), 4) is None
    assert queue.offer(Ticket(5, "many"), 4) == Ticket(5, "many")
    assert queue.offer(Ticket(6, "one"), 4) == Ticket(3, "many")
    assert len(queue) == 4


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["offer", "take", "cancel"])), max_size=60))
def test_no_ticket_is_lost_and_none_is_given_twice(events: list[tuple[str, str]]) -> None:
    queue: FairQueue[Ticket] = FairQueue()
    inside: set[Ticket] = set()
    for number, (client, event) in enumerate(events):
        if event == "offer":
            ticket = Ticket(number, client)
            refused = queue.offer(ticket, 5)
            inside.add(ticket)
            inside.discard(refused)
        elif event == "take":
            taken = queue.take()
            assert (taken is None) == (not inside)
            inside.discard(taken)
        elif inside:
            assert queue.remove(inside.pop())
        assert len(queue) == len(inside) <= 5
        assert set(queue) == inside


def test_what_waited_for_too_long_is_taken_out() -> None:
    queue: FairQueue[Ticket] = FairQueue()
    early, late, never = Ticket(1, "a", deadline=5), Ticket(2, "a", deadline=9), Ticket(3, "b")
    for ticket in (early, late, never):
        queue.offer(ticket, 9)
    assert queue.expired(6) == [early]
    assert set(queue) == {late, never}


# Rates


def test_time_to_wait_follows_what_was_measured() -> None:
    rates = Rates()
    assert seconds_to_wait(Work(1000, 1000), rates, 2) == 1.0, "nothing is known: ask soon"
    rates.observe(computed=1000, prefill_seconds=10, generated=100, decode_seconds=10, allowed=100)
    one = seconds_to_wait(Work(1000, 1000), rates, 1)
    two = seconds_to_wait(Work(1000, 1000), rates, 2)
    assert one > two > 10
    assert seconds_to_wait(Work(10**9, 10**9), rates, 1) == 600


# Contention


def governor(*looks: tuple[float, float], computing: bool = True) -> list[int]:
    chosen = ThreadGovernor(threads=4, cores=4)
    return [chosen.decide(at, foreign, computing=computing) for at, foreign in looks]


def test_threads_go_down_at_once_and_come_back_after_some_quiet() -> None:
    looks = [(0.0, 0.0), (0.5, 1.2), (1.0, 0.1), (2.0, 0.0), (3.0, 0.1), (4.1, 0.0)]
    assert governor(*looks) == [4, 3, 3, 3, 3, 4]


def test_noise_in_between_begins_the_wait_anew() -> None:
    looks = [(0.0, 1.2), (1.0, 0.0), (3.0, 1.0), (3.5, 0.0), (6.0, 0.0), (6.6, 0.0)]
    assert governor(*looks) == [3, 3, 3, 3, 3, 4]


def test_an_idle_engine_forgets_at_once() -> None:
    assert governor((0.0, 4.0), (0.5, 0.0), computing=False) == [1, 4]


def test_what_was_busy_before_a_request_is_forgotten_at_the_first_look_into_it() -> None:
    chosen = ThreadGovernor(threads=4, cores=4)
    looks = [(0.0, 4.0, False), (0.5, 0.0, True), (1.0, 2.0, True), (1.5, 0.0, True)]
    assert [chosen.decide(at, foreign, computing=computing) for at, foreign, computing in looks] == [1, 4, 2, 2]


@pytest.mark.parametrize(("foreign", "threads"), [(0.0, 4), (0.25, 4), (0.66, 3), (1.0, 3), (1.4, 2), (4.0, 1)])
def test_threads_leave_the_others_their_cores(foreign: float, threads: int) -> None:
    assert governor((0.0, foreign)) == [threads]


def test_own_work_is_not_foreign() -> None:
    foreign = ForeignCpu(2)
    foreign.observe(CpuSample(0.0, 100.0, 50.0))
    foreign.observe(CpuSample(1.0, 102.0, 52.0))
    assert foreign.cores == 0.0
    for second in range(2, 30):
        foreign.observe(CpuSample(second, 100.0 + 2 * second, 51.0 + second))
    assert foreign.cores == pytest.approx(1.0, abs=0.01)
    assert foreign.sustained_share == pytest.approx(0.5, abs=0.15)


def test_what_is_over_is_no_reason_to_refuse() -> None:
    foreign = ForeignCpu(2)
    for second in range(60):
        foreign.observe(CpuSample(second, 2.0 * second, 0.0))
    assert foreign.sustained_share > 0.9
    foreign.observe(CpuSample(60.5, 118.0, 0.0))
    foreign.observe(CpuSample(61.0, 118.0, 0.0))
    assert foreign.sustained_share < 0.2


@pytest.mark.parametrize(
    ("share", "pressure", "refused"),
    [(0.9, None, True), (0.9, 0.5, True), (0.9, 0.02, False), (0.5, 0.9, False), (0.7, 0.9, False)],
)
def test_busy_means_that_something_waits(share: float, pressure: float | None, refused: bool) -> None:
    assert too_busy(share, pressure, 0.7) is refused
