"""Chat prompts from the model's own template, with user text that cannot pose as control tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from llama_cpp.llama_chat_format import Jinja2ChatFormatter

# Stands for a message's text while the template is rendered: private-use characters that no template looks for.
_MARK = "\ue000{}\ue001"
_MARKS = re.compile("\ue000([0-9]+)\ue001")
_RESERVED = re.compile("[\ue000\ue001]")

Tokenize = Callable[[str, bool], list[int]]


def chat_tokens(template: str, bos: str, eos: str, messages: Sequence[dict[str, Any]], tokenize: Tokenize) -> list[int]:
    """Token ids of `messages` in the model's template.

    The template's own words are tokenized with control tokens, the messages' texts without: a prompt that contains
    `<|im_end|>` stays text. Each text stands in the template as a mark until then.

    Args:
        tokenize: takes a text and whether control tokens are read out of it.

    Raises:
        ValueError: the template refuses these messages; the text says why.
    """
    marked = [{**message, "content": _MARK.format(at)} for at, message in enumerate(messages)]
    formatter = Jinja2ChatFormatter(template, eos_token=eos, bos_token=bos)
    try:
        rendered = formatter(messages=marked).prompt  # type: ignore[arg-type]  # its type knows fewer roles
    except Exception as exc:
        raise ValueError(f"the model's chat template refuses these messages: {exc}") from exc
    tokens: list[int] = []
    for at, part in enumerate(_MARKS.split(rendered)):
        if at % 2 == 0:
            tokens += tokenize(part, True)
        else:
            tokens += tokenize(_RESERVED.sub("", str(messages[int(part)]["content"])), False)
    return tokens
