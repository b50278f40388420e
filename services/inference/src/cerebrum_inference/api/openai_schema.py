"""What OpenAI's endpoints take.

Parameters that would change the answer and are not supported are refused by name; the ones that only label a request
are taken and have no effect.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cerebrum_inference.api.common import DEFAULT_MAX_TOKENS, Prompt, SamplingFields
from cerebrum_inference.grammar import SchemaError
from cerebrum_inference.grammar.limits import check_size
from cerebrum_kit.text import RequestModel, Text


class StreamOptions(RequestModel):
    include_usage: bool = False
    include_obfuscation: bool = False


class OpenAIFields(SamplingFields):
    """What both endpoints take beside their prompt."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] = 1
    # Labels without effect on the answer.
    user: Text | None = None
    metadata: dict[Text, Text] | None = None
    store: bool | None = None
    safety_identifier: Text | None = None
    prompt_cache_key: Text | None = None
    service_tier: Text | None = None

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionRequest(OpenAIFields):
    prompt: Prompt
    suffix: Text | None = None
    max_tokens: int = Field(DEFAULT_MAX_TOKENS, ge=1, le=1_048_576)
    best_of: Literal[1] = 1
    echo: bool = False
    logprobs: int | None = Field(None, ge=0, le=5)

    @model_validator(mode="after")
    def _suffix_alone(self) -> Self:
        if self.suffix is not None and self.echo:
            raise ValueError("echo does not go with suffix, whose prompt the model sees in another order")
        return self


class TextPart(RequestModel):
    type: Literal["text"]
    text: Text


Content = Text | list[TextPart]


def plain_text(content: Content | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content)


class CalledFunction(RequestModel):
    name: Text
    arguments: Text


class ToolCall(RequestModel):
    id: Text
    type: Literal["function"] = "function"
    function: CalledFunction


class InstructionMessage(RequestModel):
    role: Literal["system", "developer", "user"]
    content: Content
    name: Text | None = None

    def plain(self) -> dict[str, Any]:
        """The message as templates know it."""
        return {"role": "system" if self.role == "developer" else self.role, "content": plain_text(self.content)}


class AssistantMessage(RequestModel):
    role: Literal["assistant"]
    content: Content | None = None
    refusal: str | None = None
    name: Text | None = None
    tool_calls: list[ToolCall] | None = Field(None, max_length=64)

    def plain(self) -> dict[str, Any]:
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": arguments(call)}}
            for call in self.tool_calls or ()
        ]
        message: dict[str, Any] = {"role": "assistant", "content": plain_text(self.content)}
        return {**message, "tool_calls": calls} if calls else message


def arguments(call: ToolCall) -> Any:
    """The arguments as templates want them: an object where the text is one.

    Raises:
        SchemaError: they are too deep or too large for what walks them by recursion.
    """
    try:
        value = json.loads(call.function.arguments)
    except ValueError:
        return call.function.arguments
    except RecursionError:
        raise SchemaError("arguments", "are nested too deep") from None
    check_size(value, "arguments")
    return value


class ToolMessage(RequestModel):
    role: Literal["tool"]
    content: Content
    tool_call_id: Text

    def plain(self) -> dict[str, Any]:
        return {"role": "tool", "content": plain_text(self.content), "tool_call_id": self.tool_call_id}


ChatMessage = Annotated[InstructionMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class FunctionSpec(RequestModel):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolSpec(RequestModel):
    type: Literal["function"]
    function: FunctionSpec


class NamedFunction(RequestModel):
    name: Text


class NamedTool(RequestModel):
    type: Literal["function"]
    function: NamedFunction


class TextFormat(RequestModel):
    type: Literal["text"]


class ObjectFormat(RequestModel):
    type: Literal["json_object"]


class NamedSchema(RequestModel):
    name: Text
    description: Text | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class SchemaFormat(RequestModel):
    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


class ChatRequest(OpenAIFields):
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: int | None = Field(None, ge=1, le=1_048_576)
    max_completion_tokens: int | None = Field(None, ge=1, le=1_048_576)
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: list[ToolSpec] | None = Field(None, min_length=1, max_length=64)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    # One call in an answer is what the grammar makes; asking for more is not refused, since "may" is all it says.
    parallel_tool_calls: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        if self.tool_choice not in (None, "none", "auto") and not self.tools:
            raise ValueError("tool_choice needs tools")
        if isinstance(self.tool_choice, NamedTool):
            names = [tool.function.name for tool in self.tools or ()]
            if self.tool_choice.function.name not in names:
                raise ValueError(f"tool_choice names a function that is not in tools; there are {', '.join(names)}")
        if self.tools and self.tool_choice != "none" and not isinstance(self.response_format, TextFormat | None):
            raise ValueError("response_format and tools both say what the answer looks like; send one of them")
        return self

    @property
    def choice(self) -> str:
        """`none`, `auto`, `required`, or the name of the function to be called."""
        if not self.tools:
            return "none"
        if isinstance(self.tool_choice, NamedTool):
            return self.tool_choice.function.name
        return self.tool_choice or "auto"

    def tools_plain(self) -> list[dict[str, Any]]:
        """The functions as templates know them."""
        return [tool.model_dump(exclude_none=True) for tool in self.tools or ()]
