"""What a server that is not ours says of its models, and what becomes of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cerebrum_edge.routing import ModelInfo
from cerebrum_edge.settings import Served
from cerebrum_kit.errors import UpstreamError

# Where nobody says how much a model holds: prompts are condensed to fit that, and the server refuses what is too long.
_USUAL_CONTEXT = 32_768
_MOST_MODELS = 1000
_MOST_SHOWN = 10


def models_of(answer: dict[str, Any], wanted: Mapping[str, Served]) -> tuple[ModelInfo, ...]:
    """The models that clients may ask for, by the names that they know: those of `wanted` that the server has; without
    any, all that it lists. A model without languages of its own answers for those that no other model speaks.

    Raises:
        UpstreamError: it is no list of models, or has none of those that are wanted.
    """
    there = _rows(answer)
    if not wanted:
        return tuple(_model(name, name, row, None) for name, row in there.items() if row["id"] == name)
    found = tuple(_model(known, one.name, there[one.name], one) for known, one in wanted.items() if one.name in there)
    if not found:
        raise UpstreamError(
            f"The backend lists {_shown(there)}; of the models that the edge was told of, it has none "
            f"({_shown({one.name: one for one in wanted.values()})})."
        )
    return found


def is_llama_server(answer: dict[str, Any]) -> bool:
    """Whether it is llama.cpp's own server, which fills in the middle at a path of its own."""
    rows = answer.get("data")
    return isinstance(rows, list) and any(isinstance(row, dict) and row.get("owned_by") == "llamacpp" for row in rows)


def _rows(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each model's row, by its id and its other names."""
    rows = answer.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        raise UpstreamError("The backend's list of models is not OpenAI's.")
    there = {row["id"]: row for row in rows[:_MOST_MODELS]}
    for row in rows[:_MOST_MODELS]:
        aliases = row.get("aliases")
        for alias in aliases if isinstance(aliases, list) else ():
            if isinstance(alias, str):
                there.setdefault(alias, row)
    return there


def _model(known: str, name: str, row: dict[str, Any], served: Served | None) -> ModelInfo:
    languages = served.languages if served else ()
    context = (served.context if served else None) or _context(row)
    return ModelInfo(known, name, languages, context, loaded=True, fallback=not languages)


def _context(row: dict[str, Any]) -> int:
    """vLLM says `max_model_len`, llama-server has it among a model's `meta`, others `context_length`."""
    meta = row.get("meta")
    said = [row.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, dict) else None, row.get("context_length")]
    return next((one for one in said if type(one) is int and one > 0), _USUAL_CONTEXT)


def _shown(names: Mapping[str, object]) -> str:
    shown = [name[:100] for name in list(names)[:_MOST_SHOWN]]
    return ", ".join(shown + ["…"] * (len(names) > _MOST_SHOWN)) or "no models"
