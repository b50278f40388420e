"""Copies: one stands for all, the one that is asked for; what differs in more than a name is none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cerebrum_edge.condense import condense, condense_prompt, fingerprint
from cerebrum_edge.condense.constructs import Construct, constructs
from cerebrum_edge.condense.grammars import parse
from cerebrum_edge.condense.syntax import parts
from cerebrum_edge.condense.units import Outline, outline, split_lines

BODY = (
    "def {name}(rows, limit):\n    found = []\n    for row in rows:\n        if row.weight > limit:\n"
    "            found.append(row.{field})\n    return sorted(found)\n\n\n"
)


def outlined(text: str) -> Outline:
    return outline(split_lines(text), parts(parse(text, "python")))


def copies(whole: Outline) -> list[list[Construct]]:
    return fingerprint.copies(whole, constructs(whole))


def test_a_renamed_copy_is_a_copy() -> None:
    text = "".join(BODY.format(name=name, field="weight") for name in ("heavy", "heavy_again", "heavier"))
    (group,) = copies(outlined(text))
    assert [construct.name for construct in group] == ["heavy", "heavy_again", "heavier"]
    assert not copies(outlined(BODY.format(name="a1", field="weight") + BODY.format(name="a2", field="height")))


def test_white_space_makes_no_difference() -> None:
    one = BODY.format(name="heavy", field="weight")
    assert copies(outlined(one + one.replace("    ", "  ")))


@given(st.permutations(range(10)))
def test_the_copy_that_is_asked_for_survives(order: list[int]) -> None:
    names = [f"pick_{fruit}" for fruit in ("pear", "plum", "fig", "lemon", "quince", "apple")]
    functions = [BODY.format(name=name, field="weight") for name in names]
    others = [BODY.format(name=f"sum_{index}", field=f"part_{index}").replace("sorted", "sum") for index in range(4)]
    result = condense(
        "".join((functions + others)[index] for index in order), instruction="pick_lemon must be stable", budget=700
    )
    assert functions[3].strip() in result.text
    assert sum(f"def {name}(" in result.text for name in names) == 1


def test_the_marker_says_where_the_copy_is() -> None:
    one = BODY.format(name="heavy", field="weight")
    other = BODY.format(name="light", field="height").replace("sorted", "reversed")
    result = condense_prompt("# keep heavy stable\n" + one + other + one * 6, threshold=100, budget=2_000)
    assert "same as lines 2-7" in result.text
    assert one.strip() in result.text
    assert other.strip() in result.text


def test_branches_that_do_the_same_are_no_copies() -> None:
    branch = "        for row in rows:\n" + "".join(f"            row.part_{n}(limit)\n" for n in range(5))
    text = f"def heavy(rows, limit):\n    if rows:\n{branch}\n    else:\n{branch}\n"
    assert not copies(outlined(text))


@given(st.integers(0, 260), st.sampled_from([" ", "\n", "\t\n  "]))
def test_copies_are_found_whatever_their_white_space(width: int, white: str) -> None:
    head, tail = "def heavy(rows):\n    total = 1\n", "    return heavy(total)\n\n\n"
    wide = (head + white * width + "\n" + tail).replace("heavy", "heavier")
    assert copies(outlined(head + tail + "x = 1\n\n\n" + wide))
