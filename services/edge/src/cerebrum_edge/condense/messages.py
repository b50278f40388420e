"""Condensation of a conversation: OpenAI's messages.

Each user message is condensed by itself, from nothing but its own content and the settings; system, tool and
assistant messages stay as they are. So the newest user message is rewritten once, and every later request sends it
again byte for byte as it was sent the first time: what a backend has computed for the conversation so far stays
valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cerebrum_edge.condense.core import Condensed, untouched
from cerebrum_edge.condense.instruction import locate
from cerebrum_edge.condense.units import split_lines

Message = Mapping[str, Any]
Condense = Callable[[str, str], Condensed]  # a text, and what else says what is asked


@dataclass(frozen=True, slots=True)
class CondensedMessages:
    """Messages as they are to be sent.

    Attributes:
        messages: in order; those that were not rewritten are the objects that were given.
        before: characters of all text parts of the user messages.
        after: those of what is sent instead.
        newest: one entry a text part of the newest user message.
    """

    messages: list[Message]
    before: int
    after: int
    newest: tuple[Condensed, ...]


def rewrite(messages: Sequence[Message], condense: Condense) -> CondensedMessages:
    """Applies `condense`, which must depend on its arguments alone, to each user message. Malformed messages pass
    unchanged.
    """
    found: list[Message] = []
    before = after = 0
    newest: tuple[Condensed, ...] = ()
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") != "user":
            found.append(message)
            continue
        content, results = _content(message.get("content"), condense)
        changed = any(result.reason is None for result in results)
        found.append({**message, "content": content} if changed else message)
        before += sum(result.chars for result in results)
        after += sum(len(result.text) for result in results)
        newest = tuple(results)
    return CondensedMessages(found, before, after, newest)


def _content(content: object, condense: Condense) -> tuple[object, list[Condensed]]:
    if isinstance(content, str):
        result = condense(content, "")
        return result.text, [result]
    if not isinstance(content, list):
        return content, []
    texts = {at: part["text"] for at, part in enumerate(content) if _is_text(part)}
    parts, results = list(content), []
    for at, text in texts.items():
        if "cache_control" in content[at]:  # the client has told the backend to keep exactly this
            results.append(untouched(text, "marked for the backend's cache"))
            continue
        result = condense(text, "\n".join(_asked(other) for place, other in texts.items() if place != at))
        results.append(result)
        if result.reason is None:
            parts[at] = {**content[at], "text": result.text}
    return parts, results


def _is_text(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _asked(text: str) -> str:
    return locate(split_lines(text)).instruction
