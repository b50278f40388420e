"""Chat templates: from messages to the prompt that a model was trained on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Stands for a message's text while the template is rendered: private-use characters that no template looks for.
_MARK = "\ue000{}\ue001"
_MARKS = re.compile("\ue000([0-9]+)\ue001")
_RESERVED = re.compile("[\ue000\ue001]")

Tokenize = Callable[[str, bool], list[int]]


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


class ChatTemplate:
    """A template out of a model's file, which is a program by somebody else: it runs in a sandbox.

    Raises:
        ValueError: it is not a template at all.
    """

    def __init__(self, source: str, bos: str, eos: str) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        environment.filters["tojson"] = _to_json
        try:
            self._template = environment.from_string(source)
        except TemplateError as exc:
            raise ValueError(f"its chat template is broken: {exc}") from exc
        self._special = {"bos_token": bos, "eos_token": eos}
        self.knows_tools = bool(re.search(r"\btools\b", source))

    def tokens(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None, tokenize: Tokenize
    ) -> list[int]:
        """Token ids of `messages`, up to where the model's answer begins.

        The template's own words are tokenized with control tokens, the messages' texts without: a prompt that
        contains `<|im_end|>` stays text. Each text stands in the template as a mark until then.

        Args:
            tools: functions that the model may call, where the template knows of them; their text must hold no
                control tokens, see `holds_control_tokens`.
            tokenize: takes a text and whether control tokens are read out of it.

        Raises:
            ValueError: the template refuses these messages; the text says why.
        """
        texts = [str(message.get("content") or "") for message in messages]
        marked = [
            {**message, "content": _MARK.format(at) if texts[at] or message["role"] != "assistant" else ""}
            for at, message in enumerate(messages)
        ]
        given = {"tools": list(tools)} if tools else {}
        try:
            rendered = self._template.render(messages=marked, add_generation_prompt=True, **given, **self._special)
        except Exception as exc:
            raise ValueError(f"the model's chat template refuses these messages: {exc}") from exc
        tokens: list[int] = []
        for at, part in enumerate(_MARKS.split(rendered)):
            if at % 2 == 0:
                tokens += tokenize(part, True)
            else:
                tokens += tokenize(_RESERVED.sub("", texts[int(part)]), False)
        return tokens


def texts_of(value: Any) -> list[str]:
    """Every string in a JSON value, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts_of(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in texts_of(part)]
    return []
