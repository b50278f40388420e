"""Both sides of a cursor: what is next to it stays whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_edge.condense import condense_fim

FUNCTIONS = [
    f"def step_{index}(state):\n    state.count += {index}\n    state.log('step {index}')\n    return state\n\n\n"
    for index in range(80)
]
PREFIX = "import os\n\n" + "".join(FUNCTIONS[:40]) + "def last(state):\n    total = step_3(state)\n    return tot"
SUFFIX = "al\n\n\n" + "".join(FUNCTIONS[40:])


@given(st.integers(1_500, 6_000), st.floats(0.1, 0.9))
def test_the_cursor_stays_where_it_is(budget: int, share: float) -> None:
    found = condense_fim(PREFIX, SUFFIX, language="python", budget=budget, suffix_share=share)
    assert found.prefix.text.endswith("\n    return tot")
    assert found.suffix.text.startswith("al\n")
    assert len(found.prefix.text) + len(found.suffix.text) <= budget


def test_the_cursors_function_is_whole() -> None:
    found = condense_fim(PREFIX, SUFFIX, language="python", budget=1_000)
    assert found.prefix.text.endswith("def last(state):\n    total = step_3(state)\n    return tot")


def test_what_the_cursor_uses_is_kept_rather_than_what_it_does_not() -> None:
    found = condense_fim(PREFIX, "", language="python", budget=1_200)
    assert "def step_3(state):" in found.prefix.text
    assert "def step_20(state):" not in found.prefix.text


@pytest.mark.parametrize(("prefix", "suffix"), [("", ""), ("x = ", ""), ("", "\n"), (PREFIX, "")])
def test_sides_that_fit_are_untouched(prefix: str, suffix: str) -> None:
    found = condense_fim(prefix, suffix, budget=len(prefix) + len(suffix))
    assert (found.prefix.text, found.suffix.text) == (prefix, suffix)


def test_a_side_takes_what_the_other_leaves() -> None:
    found = condense_fim(PREFIX, "al\n", language="python", budget=len(PREFIX) + 3)
    assert found.prefix.text == PREFIX


def test_a_line_is_never_cut() -> None:
    prefix = "x = 1\n" * 50 + "y" * 1000
    found = condense_fim(prefix, "", budget=500)
    assert found.prefix.text == prefix
    assert found.prefix.reason == "the cursor's line is larger than the budget"
