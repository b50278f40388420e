"""Field types for request models that the framework's defaults do not guard."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


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


class RequestModel(BaseModel):
    """Base of request bodies: unknown fields are refused by name, NaN and infinity are no numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
