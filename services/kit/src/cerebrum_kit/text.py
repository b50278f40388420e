"""Field types for request models that the framework's defaults do not guard."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _encodable(value: str) -> str:
    # JSON may carry half a surrogate pair ("\\ud800"); it parses, and then breaks the first .encode() it meets.
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(
            "contains half of a surrogate pair at character "
            f"{exc.start}, which is no Unicode text; send the whole character or leave it out"
        ) from None
    return value


Text = Annotated[str, AfterValidator(_encodable)]
"""A string that can be written as UTF-8."""


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


_StopText = Annotated[Text, Field(min_length=1, max_length=256)]
Stop = Annotated[tuple[_StopText, ...], BeforeValidator(_one_or_more), Field(max_length=16)]
"""Texts that end an answer: one, or up to 16."""


class RequestModel(BaseModel):
    """Base of request bodies: unknown fields are refused by name, NaN and infinity are no numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
