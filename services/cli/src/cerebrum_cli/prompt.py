"""What is sent, made of what was typed and of the code beside it; and what is kept of what came. Pure."""

from __future__ import annotations

import re

from cerebrum_cli.answer.fences import FenceReader
from cerebrum_cli.answer.languages import guess, is_code


def compose(instruction: str, code: str, language: str | None = None) -> str:
    """The prompt for an instruction about code: the code stands fenced below it, so that the edge tells them apart."""
    if not code.strip():
        return instruction
    if not instruction.strip():
        return code
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    body = code if code.endswith("\n") else code + "\n"
    return f"{instruction.rstrip()}\n\n{fence}{language or ''}\n{body}{fence}\n"


def painted_as(prompt: str, language: str | None, answer_follows: bool) -> str | None:
    """What an answer's text outside of fences is taken for.

    Args:
        answer_follows: the prompt goes with code beside it, so that the answer will be about it, not its continuation.
    """
    if language is not None:
        return language
    return guess(prompt) if not answer_follows and is_code(prompt) else None


def worth_saving(prompt: str, answer: str, *, prose: bool) -> str:
    """What `:save` writes: the code.

    Of an answer with fences that is what is inside; where the prompt is code that the answer goes on with, it is both;
    else the answer as it came.

    Args:
        prose: the file is for reading (Markdown, text), and gets the answer as it came.
    """
    if prose:
        text = answer
    else:
        reader = FenceReader()
        segments = [*reader.feed(answer), *reader.finish()]
        code = "".join(segment.text for segment in segments if segment.kind == "code")
        text = code or (prompt + answer if is_code(prompt) else answer)
    return text if text.endswith("\n") else text + "\n"
