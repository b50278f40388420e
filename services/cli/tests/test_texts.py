"""Receipts, prompts, what is saved, tables: text made of facts."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from cerebrum_cli import reports
from cerebrum_cli.answer.receipt import brief_receipt, receipt, size
from cerebrum_cli.prompt import compose, painted_as, worth_saving
from cerebrum_cli.screen import abilities
from support.fake_edge import DONE, HEALTH, MODELS, STATS


def printed(what: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=120, color_system=None).print(what)
    return out.getvalue()


def test_receipt_tells_what_happened_and_only_that() -> None:
    assert receipt({**DONE, "total_tokens": 4}) == "4 tokens in 0.50 s (8.0 tokens/s) · tiny · python · stop"
    more = {"condensed": {"before": 8344, "after": 3131, "ms": 1.2}, "resumed": 1}
    assert receipt({**DONE, "total_tokens": 4, **more}).endswith("· stop · condensed 8.3k→3.1k · resumed 1x")


def test_a_conversations_receipt_leaves_out_what_is_as_always() -> None:
    assert brief_receipt({**DONE, "total_tokens": 4}) == "4 tokens · 8.0 tok/s · tiny · python"
    more = {"finish_reason": "length", "language": None, "condensed": {"before": 8344, "after": 3131}, "resumed": 2}
    assert brief_receipt({**DONE, **more, "total_tokens": 4}) == (
        "4 tokens · 8.0 tok/s · tiny · cut at its limit, see :tokens · condensed 8.3k→3.1k · resumed 2x"
    )


@pytest.mark.parametrize(
    "done", [{}, {"done": True}, {"condensed": {"before": None}, "tokens_per_second": None, "language": None}]
)
def test_receipt_of_an_edge_that_tells_less(done: dict[str, Any]) -> None:
    assert receipt(done).startswith("0 tokens in 0.00 s")
    assert brief_receipt(done).startswith("0 tokens · 0.0 tok/s")


@pytest.mark.parametrize(
    ("characters", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (8344, "8.3k"),
        (999_949, "999.9k"),
        (999_950, "1.0M"),
        (2_500_000, "2.5M"),
    ],
)
def test_sizes(characters: int, text: str) -> None:
    assert size(characters) == text


def test_code_stands_fenced_below_what_is_asked() -> None:
    assert compose("refactor", "x = 1\n", "python") == "refactor\n\n```python\nx = 1\n```\n"
    assert compose("", "x") == "x"
    assert compose("ask", " \n") == "ask"


@given(st.text(), st.text(st.sampled_from("`a\n"), max_size=30))
def test_code_is_never_closed_by_its_own_fences(instruction: str, code: str) -> None:
    prompt = compose(instruction, code)
    assert code in prompt or not code.strip()
    if instruction.strip() and code.strip():
        fence = prompt.rstrip("\n").rpartition("\n")[2]
        assert set(fence) == {"`"}
        assert fence not in code


def test_an_answer_about_code_is_not_painted_as_code() -> None:
    assert painted_as("def f():", None, answer_follows=False) == "python"
    assert painted_as("def f():", None, answer_follows=True) is None
    assert painted_as("why?", "go", answer_follows=True) == "go"
    assert painted_as("why does import os fail\nimport os", None, answer_follows=False) is None


@pytest.mark.parametrize(
    ("prompt", "answer", "prose", "saved"),
    [
        ("def f():", "\n    return 1", False, "def f():\n    return 1\n"),
        ("explain closures", "They close.", False, "They close.\n"),
        ("do it please now", "Sure:\n```py\nx = 1\n```\nand\n```\ny\n```\n", False, "x = 1\ny\n"),
        ("do it please now", "Sure:\n```py\nx = 1\n```\n", True, "Sure:\n```py\nx = 1\n```\n"),
    ],
)
def test_what_is_saved(prompt: str, answer: str, prose: bool, saved: str) -> None:
    assert worth_saving(prompt, answer, prose=prose) == saved


@pytest.mark.parametrize(
    ("environment", "stdin", "stdout", "terminal", "moves", "colour", "edits"),
    [
        ({"TERM": "xterm"}, True, True, True, True, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, True, True, True, False, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True, True, True, True, True),
        ({"TERM": "dumb"}, True, True, True, False, False, False),
        ({}, True, True, True, False, False, False),
        ({"TERM": "xterm"}, False, True, True, True, True, False),
        ({"TERM": "xterm"}, True, False, False, False, False, False),
    ],
)
def test_what_a_terminal_can_do(
    environment: dict[str, str], stdin: bool, stdout: bool, terminal: bool, moves: bool, colour: bool, edits: bool
) -> None:
    able = abilities(environment, stdin=stdin, stdout=stdout)
    assert (able.terminal, able.moves, able.colour, able.edits) == (terminal, moves, colour, edits)


def test_stats_show_breakers_condensation_and_resumes() -> None:
    text = printed(reports.stats(STATS))
    for words in ("1h 1m", "12, 1 active, 0 waiting, 61.2 MB", "3 prompts, 25.0k→9.5k characters", "2 streams", "vps"):
        assert words in text
    assert "1 prompt," in printed(reports.stats({"condensation": {"requests": 1, "before": 9, "after": 5}}))
    away = {"state": "open", "retry_in": 7.6, "failures": 5}
    row = {"name": "gpu", "available": False, "url": "http://x"}
    assert "set aside after 5 failures, tried again in 8 s" in printed(
        reports.stats({"backends": [{**row, "breaker": away}]})
    )
    assert "unavailable: [no] answer" in printed(reports.stats({"backends": [{**row, "problem": "[no] answer"}]}))


@pytest.mark.parametrize("facts", [{}, {"backends": []}, {"uptime": 1.0}, {"condensation": {}}])
def test_stats_of_an_edge_that_tells_less(facts: dict[str, Any]) -> None:
    printed(reports.stats(facts))


def test_markup_and_escape_sequences_in_names_are_shown_as_they_are() -> None:
    rows: list[dict[str, Any]] = [{"id": "[red]x[/red]", "languages": ["[bold]"]}, {"id": "y"}]
    assert "[red]x[/red]" in printed(reports.models(rows))
    assert "[bold]" in printed(reports.models(rows))
    assert "␛]0;x␇" in printed(reports.models([{"id": "\x1b]0;x\x07"}]))


def test_services_with_and_without_a_backend() -> None:
    facts = {"health": HEALTH, "stats": STATS, "backend": {"backend": "vps", "round_trip_ms": 2.5, "health": HEALTH}}
    assert "2.5 ms away" in printed(reports.services(facts))
    assert "no answer" in printed(reports.services({**facts, "backend": {"problem": "no answer"}}))
    assert "tiny (chosen)" in printed(reports.models(MODELS, chosen="tiny"))
