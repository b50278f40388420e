"""Which model answers. Pure: the backends' listings in, a decision out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cerebrum_edge.language import detect, known, normalize
from cerebrum_kit.errors import ModelNotFound


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as a backend lists it."""

    id: str
    name: str
    languages: tuple[str, ...]
    context: int
    loaded: bool
    fallback: bool

    @classmethod
    def parse(cls, row: dict[str, Any]) -> ModelInfo:
        """Raises KeyError, TypeError or ValueError where the row is not one of ours."""
        return cls(
            id=str(row["id"]),
            name=str(row["name"]),
            languages=tuple(str(language) for language in row["languages"]),
            context=int(row["context"]),
            loaded=bool(row["loaded"]),
            fallback=bool(row.get("fallback", False)),
        )


def merged(listings: Sequence[Sequence[ModelInfo]]) -> tuple[ModelInfo, ...]:
    """What several backends have together: each model once, loaded where it is so anywhere, with its least context."""
    models: dict[str, ModelInfo] = {}
    for one in (row for listing in listings for row in listing):
        known = models.get(one.id)
        models[one.id] = (
            one
            if known is None
            else replace(known, loaded=known.loaded or one.loaded, context=min(known.context, one.context))
        )
    return tuple(models.values())


@dataclass(frozen=True, slots=True)
class Route:
    """
    Attributes:
        context: tokens that the model holds, prompt and answer together.
    """

    model: str
    language: str | None
    context: int


def choose(models: Sequence[ModelInfo], *, prompt: str, language: str | None = None, model: str | None = None) -> Route:
    """The model for a prompt: the one that is asked for, else one for its language, else the fallback.

    A loaded model is preferred to one of equal right that would have to be loaded first.

    Raises:
        UnprocessableRequest: nobody knows the language.
        ModelNotFound: the backends do not have the model that is asked for, or none at all.
    """
    spoken = _spoken(models, language) if language else detect(prompt)
    if model is not None:
        asked = next((one for one in models if one.id == model), None)
        if asked is None:
            there = ", ".join(one.id for one in models) or "none"
            raise ModelNotFound(f"There is no model {model!r}; available are: {there}.", param="model")
        return Route(model, spoken, asked.context)
    if not models:
        raise ModelNotFound("The backends have no model installed.")
    speaking = [one for one in models if spoken in one.languages]
    candidates = speaking or [one for one in models if one.fallback] or list(models)
    chosen = min(candidates, key=lambda one: not one.loaded)
    return Route(chosen.id, spoken, chosen.context)


def _spoken(models: Sequence[ModelInfo], language: str) -> str:
    """The language that was named; one that only a manifest knows is known too."""
    name = normalize(language)
    return name if any(name in one.languages for one in models) else known(language)
