"""Request bodies as the edge's clients send them.

Fields that the edge does not know are left out and counted: editors and tools send many, and a backend refuses them.
What it knows is checked here, so that nothing of a bad request reaches a backend.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python

from cerebrum_kit.text import Stop, Text


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        to_jsonable_python([[[[value]]]])  # as deep as it stands in its request
    except UnicodeEncodeError:
        raise ValueError(
            "contains half of a surrogate pair, which is no Unicode text; send the whole character or leave it out"
        ) from None
    except RecursionError:
        raise ValueError("is nested too deep") from None
    except ValueError as exc:
        raise ValueError("is nested too deep" if "depth" in str(exc) else "contains NaN or infinity") from None
    return value


Condense = Literal["auto", "off"]
Language = Annotated[str, Field(pattern=r"^[A-Za-z0-9+#._-]{1,32}$")]
ModelName = Annotated[Text, Field(max_length=256)]
Plain = Annotated[dict[str, Any], AfterValidator(_plain)]
"""An object that only the backend looks into; it can be written as JSON in UTF-8."""
TokenId = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
TokenKey = Annotated[str, Field(pattern=r"^[0-9]{1,10}$")]  # as JSON has the keys of objects
Prompt = Annotated[Text, Field(min_length=1)] | Annotated[list[TokenId], Field(min_length=1, max_length=1_048_576)]
# What clients that have nothing to choose from write.
ANY_MODEL = frozenset({"", "auto", "default", "cerebrum"})


class LenientModel(BaseModel):
    """Unknown fields are taken note of by their number; NaN and infinity are no numbers."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, frozen=True)

    @property
    def ignored(self) -> int:
        return len(self.model_extra or ())

    def known(self, *without: str) -> dict[str, Any]:
        """The fields that were sent and are known, as JSON has them."""
        names = self.model_fields_set & set(type(self).model_fields) - set(without)
        return self.model_dump(mode="json", include=names, exclude_none=True)


class Part(BaseModel):
    """A part of a message: text is all that models here read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | list[Part] | None = None
    name: Text | None = None
    tool_calls: list[Plain] | None = Field(None, max_length=64)
    tool_call_id: Text | None = None


class Sampling(LenientModel):
    """What the native and the OpenAI requests have in common."""

    model: ModelName | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    stop: Stop | None = None
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    return_tokens: bool | None = None
    # Whether a long prompt may be shortened before it is sent.
    condense: Condense = "auto"


class CompleteRequest(Sampling):
    prompt: Annotated[Text, Field(min_length=1)]
    language: Language | None = None
    max_tokens: int = Field(256, ge=1, le=1_048_576)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    include_usage: bool = False


class OpenAIRequest(Sampling):
    """Fields of both OpenAI endpoints. What the backend checks further (tools, formats) is passed on as it is."""

    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    max_tokens: int | None = Field(None, ge=1, le=1_048_576)
    top_k: int | None = Field(None, ge=0, le=1000)
    min_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repeat_penalty: float | None = Field(None, ge=0.5, le=2)
    logit_bias: (
        dict[Annotated[str, Field(pattern=r"^[0-9]{1,10}$")], Annotated[float, Field(ge=-100, le=100)]] | None
    ) = Field(None, max_length=300)
    ignore_eos: bool | None = None
    keep_alive: float | None = Field(None, ge=-1, le=31_536_000)
    timeout_seconds: float | None = Field(None, gt=0, le=3600)

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionRequest(OpenAIRequest):
    prompt: Prompt
    suffix: Text | None = None
    echo: bool | None = None
    best_of: Literal[1] | None = None
    logprobs: int | None = Field(None, ge=0, le=5)


class ChatRequest(OpenAIRequest):
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    max_completion_tokens: int | None = Field(None, ge=1, le=1_048_576)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: Plain | None = None
    tools: list[Plain] | None = Field(None, max_length=64)
    tool_choice: Literal["none", "auto", "required"] | Plain | None = None
    parallel_tool_calls: bool | None = None
