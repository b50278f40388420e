"""Prompts: where the instruction and the code are found, and when the original is sent."""

from __future__ import annotations

import pytest

from cerebrum_edge.condense import budget_for, condense, condense_prompt
from cerebrum_edge.condense.instruction import locate

ASKED = "Refactor weigh_quince to use async/await, please."
FUNCTIONS = [
    f'def {verb}_{noun}(store, key):\n    """{verb} of {noun}."""\n    value = store.{noun}[key]\n'
    f"    value.{verb}({n})\n"
    f"    store.log('{noun}', {n})\n    return value\n\n\n"
    for n, (noun, verb) in enumerate(
        (noun, verb) for noun in ("pear", "plum", "fig", "quince") for verb in ("load", "store", "weigh", "peel")
    )
]
CODE = "import os\n\n\n" + "".join(FUNCTIONS)
PROMPTS = {
    "marker": f"INSTRUCTION: {ASKED}\n\nCODE:\n{CODE}",
    "marker without code": f"INSTRUCTION: {ASKED}\n\n{CODE}",
    "lower case marker": f"task: {ASKED}\ncode:\n{CODE}",
    "marker below": f"{CODE}\nINSTRUCTION: {ASKED}\n",
    "instruction in lines": f"INSTRUCTION:\n{ASKED}\nKeep the logs.\n\nCODE:\n{CODE}",
    "fence": f"{ASKED}\n\n```python\n{CODE}```\n",
    "fence above": f"```python\n{CODE}```\n\n{ASKED}\n",
    "open fence": f"{ASKED}\n\n```\n{CODE}",
    "tildes": f"{ASKED}\n~~~py\n{CODE}~~~\nThanks a lot!\n",
    "files": f"{ASKED}\n\n`a.py`:\n```python\n{CODE}```\n\n`b.go`:\n```go\npackage b\n\n{'var x = 1' + chr(10)}```\n",
    "sentence before": f"{ASKED}\n\n{CODE}",
    "sentence after": f"{CODE}\n{ASKED}\n",
}


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_the_instruction_stays_and_what_it_names_too(name: str) -> None:
    prompt = PROMPTS[name]
    result = condense_prompt(prompt, budget=1200)
    assert result.reason is None
    assert ASKED in result.text
    assert FUNCTIONS[14].strip() in result.text
    for line in prompt.replace(CODE, "").split("\n"):
        assert line in result.text
    assert len(result.text) <= 1200
    kept = [number for first, last in result.kept for number in range(first, last + 1)]
    assert all(prompt.split("\n")[number - 1] in result.text.split("\n") for number in kept)


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_only_code_is_code(name: str) -> None:
    lines = PROMPTS[name].split("\n")
    found = locate(lines)
    inside = {row for region in found.code for row in range(region.first, region.last + 1)}
    assert {row for row, line in enumerate(lines) if line.startswith("def ")} <= inside
    assert not any(ASKED in lines[row] for row in inside)
    assert ASKED in found.instruction


def test_code_alone_keeps_its_end() -> None:
    result = condense(CODE, budget=900)
    assert FUNCTIONS[-1].strip() in result.text


def test_a_comment_at_the_top_is_the_instruction() -> None:
    result = condense("# peel_plum must not log\n" + CODE, budget=900)
    assert FUNCTIONS[7].strip() in result.text


def test_the_edit_region_stays() -> None:
    row = CODE[: CODE.index("def peel_fig")].count("\n") + 1
    result = condense(CODE, instruction="load_pear", focus=row + 2, budget=900)
    assert FUNCTIONS[11].strip() in result.text
    assert FUNCTIONS[0].strip() in result.text


def test_short_prompts_are_sent_as_they_are() -> None:
    prompt = "def f():\n    return 1\n" * 40
    assert condense_prompt(prompt[:1500]).text == prompt[:1500]
    assert condense_prompt(prompt[:1500]).reason == "not longer than 1500 characters"
    assert condense_prompt(prompt[:400], threshold=100).reason is None


def test_a_small_saving_is_none() -> None:
    result = condense_prompt(CODE, budget=int(len(CODE) * 0.95))
    assert result.text == CODE
    assert result.reason == "saves less than 10%"


def test_what_the_context_cannot_hold_is_condensed_whatever_it_saves() -> None:
    limit = int(len(CODE) * 0.95)
    result = condense_prompt(CODE, context_chars=limit, budget=limit)
    assert result.reason is None
    assert len(result.text) <= limit


def test_prose_has_no_code() -> None:
    prose = "Tell me all about the history of the pear tree in central Europe\n" * 30
    assert condense_prompt(prose).text == prose


@pytest.mark.parametrize(
    ("chars", "context", "budget"), [(10_000, None, 6_000), (10_000, 4_000, 4_000), (1_000, 4_000, 600), (0, None, 0)]
)
def test_the_default_budget(chars: int, context: int | None, budget: int) -> None:
    assert budget_for(chars, context_chars=context) == budget


@pytest.mark.parametrize("shape", ["INSTRUCTION: {}\n\nCODE:\n{}", "{}\n\n{}", "{}\n```python\n{}```\n"])
def test_a_repeated_program_ends_as_one_copy_of_each_function(shape: str) -> None:
    program = "import time\n\n\n" + "".join(FUNCTIONS[:6])
    asked = "Refactor this to use async/await"
    prompt = shape.format(asked, (program * 20)[: 8344 - len(shape.format(asked, ""))])
    assert len(prompt) == 8344
    result = condense_prompt(prompt)
    assert len(result.text) <= 3167
    assert asked in result.text
    for function in FUNCTIONS[:6]:
        assert function.strip() in result.text


def test_a_named_definition_stays_whole_though_others_say_more_of_the_instruction() -> None:
    named = "def reset(self):\n" + "".join(f"    self.part_{n} = other_{n}(self, {n})\n" for n in range(24)) + "\n\n"
    louder = "".join(
        f"def counter_total_{n}(total):\n    counter_total = keep_total(total, {n})\n    return counter_total\n\n\n"
        for n in range(300)
    )
    asked = "counter_total must keep_total as counter_total_7, counter_total_9 and keep_total do since reset() keeps it"
    result = condense(louder + named + louder.upper(), instruction=asked, budget=2 * len(named))
    assert named.strip() in result.text
