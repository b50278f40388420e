"""Text that may be sent: whole characters only, never a part of a stop string."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from cerebrum_inference.scheduling.output import TextAssembler

alphabet = st.sampled_from("ab\n\u00e9\U0001f600")
texts = st.text(alphabet, max_size=30)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    points = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(points)]


@given(texts, st.lists(st.integers(0, 120), max_size=20))
def test_text_comes_out_whole_whatever_the_tokens(text: str, cuts: list[int]) -> None:
    assembler = TextAssembler()
    out = [assembler.feed(piece) for piece in pieces(text.encode(), cuts)]
    assert "\ufffd" not in "".join(out)
    assert "".join(out) + assembler.finish() == text


@given(
    texts, st.lists(st.text(alphabet, min_size=1, max_size=4), min_size=1, max_size=3), st.lists(st.integers(0, 120))
)
def test_text_ends_at_the_first_stop_and_no_part_of_one_leaks(text: str, stops: list[str], cuts: list[int]) -> None:
    assembler = TextAssembler(tuple(stops))
    sent = ""
    # The stop string that is complete first ends the text, as when every character came alone.
    ends = min((at + len(stop) for stop in stops if (at := text.find(stop)) >= 0), default=None)
    for piece in pieces(text.encode(), cuts):
        sent += assembler.feed(piece)
        assert all(stop not in sent for stop in stops)
    sent += assembler.finish()
    assert text.startswith(sent)
    assert assembler.stopped == (ends is not None)
    if ends is None:
        assert sent == text
    else:
        assert all(stop not in sent for stop in stops)


def test_tail_that_may_begin_a_stop_is_held_until_it_is_not() -> None:
    assembler = TextAssembler(("END",))
    assert assembler.feed(b"abE") == "ab"
    assert assembler.feed(b"N") == ""
    assert assembler.feed(b"X") == "ENX"
    assert assembler.feed(b"yEND more") == "y"
    assert assembler.stopped
    assert assembler.feed(b"more") == ""
    assert assembler.finish() == ""


def test_bytes_that_never_make_a_character_become_a_replacement() -> None:
    assembler = TextAssembler()
    assert assembler.feed(b"a\xf0\x9f") == "a"
    assert assembler.finish() == "\ufffd"
