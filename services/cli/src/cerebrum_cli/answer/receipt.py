"""What an answer cost, in a line."""

from __future__ import annotations

from typing import Any


def receipt(done: dict[str, Any]) -> str:
    """The whole line for a stream's last event; fields that an edge does not send are passed over."""
    parts = [
        f"{done.get('total_tokens', 0)} tokens in {done.get('inference_time') or 0:.2f} s ({_rate(done)} tokens/s)",
        str(done.get("model") or "unknown model"),
        str(done.get("language") or "no language detected"),
        str(done.get("finish_reason") or "no reason given"),
    ]
    return " · ".join([*parts, *_events(done)])


def brief_receipt(done: dict[str, Any]) -> str:
    """The same for a conversation: what is as always is left out."""
    parts = [
        f"{done.get('total_tokens', 0)} tokens",
        f"{_rate(done)} tok/s",
        str(done.get("model") or "unknown model"),
        *([str(done["language"])] if done.get("language") else []),
        *(["cut at its limit, see :tokens"] if done.get("finish_reason") == "length" else []),
    ]
    return " · ".join([*parts, *_events(done)])


def _rate(done: dict[str, Any]) -> str:
    return f"{done.get('tokens_per_second') or 0:.1f}"


def _events(done: dict[str, Any]) -> list[str]:
    resumed = done.get("resumed")
    return [*filter(None, [condensation(done.get("condensed"))]), *([f"resumed {resumed}x"] if resumed else [])]


def condensation(facts: object) -> str | None:
    """`condensed 8.3k→3.1k`, or None where nothing was condensed."""
    if not isinstance(facts, dict):
        return None
    before, after = facts.get("before"), facts.get("after")
    return f"condensed {size(before)}→{size(after)}" if isinstance(before, int) and isinstance(after, int) else None


def size(characters: int) -> str:
    """`950`, `8.3k`, `1.2M`."""
    if characters < 1000:
        return str(characters)
    if characters < 999_950:
        return f"{characters / 1000:.1f}k"
    return f"{characters / 1_000_000:.1f}M"
