"""A model in memory: its weights and vocabulary, and the thread that computes with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cerebrum_inference.batching.fill import MOST_SPECULATING
from cerebrum_inference.batching.options import WorkerOptions
from cerebrum_inference.batching.stats import ModelStats
from cerebrum_inference.batching.store import PrefixStore
from cerebrum_inference.batching.worker import Worker
from cerebrum_inference.chat import ChatTemplate, texts_of
from cerebrum_inference.embedding import Embedder
from cerebrum_inference.llama import Context, Model
from cerebrum_inference.manifest import ModelRow
from cerebrum_inference.scheduling.lookup import LONGEST_DRAFT
from cerebrum_inference.scheduling.output import TextAssembler
from cerebrum_inference.scheduling.pacing import TILE_ROWS
from cerebrum_inference.scheduling.prefix import WORTH_SHARING, common_prefix
from cerebrum_inference.turns import Turns
from cerebrum_kit.errors import InvalidRequest

# Rows of a step at most: llama.cpp's kernels gain nothing from more, and its buffers grow with them.
_BATCH = 512


@dataclass(frozen=True, slots=True)
class Shared:
    """What all models of a service have in common."""

    store: PrefixStore
    turns: Turns
    loop: asyncio.AbstractEventLoop


class LlamaModel:
    """`engine.LoadedModel` over llama.cpp.

    Args:
        key: names the file's content, for prefixes that outlive the model in memory.
    """

    def __init__(
        self,
        row: ModelRow,
        path: str,
        options: WorkerOptions,
        shared: Shared,
        stats: ModelStats,
        *,
        key: str,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.row = row
        # llama.cpp rounds a context up; what is promised is what the manifest and the settings say.
        self.context = options.context
        self.model = Model(path, gpu_layers=options.gpu_layers, progress=progress)
        try:
            template = self.model.metadata("tokenizer.chat_template")
            bos, eos = self.model.special_text(self.model.bos), self.model.special_text(self.model.eos)
            self.chat = ChatTemplate(template, bos, eos) if template else None
            pinned = self._pinned_prompts(row.pinned_system)
            sequences = options.slots + len(pinned)
            options = replace(options, scratch=sequences)
            context = Context(
                self.model,
                cells=options.slots * options.context + sum(map(len, pinned)) + TILE_ROWS,
                sequences=sequences + 1,
                batch=min(_BATCH, options.slots * options.context),
                outputs=max(sequences + 1, MOST_SPECULATING * (LONGEST_DRAFT + 1)),
                threads=options.threads,
                flash_attention=options.flash_attention,
            )
        except Exception:
            self.model.close()
            raise
        self.embedder = Embedder(self.model, shared.turns, options)
        self.worker = Worker(
            row.id,
            self.model,
            context,
            options,
            key=key,
            store=shared.store,
            stats=stats,
            turns=shared.turns,
            loop=shared.loop,
            pinned=pinned,
        )

    def close(self) -> None:
        """Blocks until the thread has ended; nothing of the model may be used afterwards."""
        self.worker.close()
        self.embedder.close()
        self.model.close()

    @property
    def knows_tools(self) -> bool:
        return self.chat is not None and self.chat.knows_tools

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return self.model.tokenize(text, add_special=True, parse_special=special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        return b"".join(map(self.model.piece, tokens)).decode("utf-8", "replace")

    def shown(self, tokens: Sequence[int], stop: tuple[str, ...]) -> str:
        text = TextAssembler(stop)
        known = self.check_tokens(tokens, param="resume_tokens")  # llama.cpp does not check them
        return "".join([text.feed(self.model.piece(token)) for token in known])

    def check_tokens(self, tokens: Sequence[int], *, param: str = "prompt") -> list[int]:
        wrong = next((token for token in tokens if not 0 <= token < self.model.vocab_size), None)
        if wrong is not None:
            raise InvalidRequest(
                f"{wrong} is no token of {self.row.id}; ids go from 0 to {self.model.vocab_size - 1}.", param=param
            )
        return list(tokens)

    def infill_prompt(self, prefix: str, suffix: str) -> list[int] | None:
        ids = self.model.fim_tokens
        if ids is None:
            return None
        before, after, middle = ids
        return [before, *self._tokens(prefix, False), after, *self._tokens(suffix, False), middle]

    def chat_prompt(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None = None
    ) -> list[int]:
        if self.chat is None:
            raise ValueError("this model has no chat template")
        called = [message["tool_calls"] for message in messages if "tool_calls" in message]
        # Unlike a message's text, these go through the template as they are.
        for text in texts_of([list(tools or ()), called]):
            if not self.model.special_tokens.isdisjoint(self._tokens(text, True)):
                raise ValueError(f"tools and their calls must not contain control tokens; {text[:80]!r} does")
        return self.chat.tokens(messages, tools, self._tokens)

    def _tokens(self, text: str, special: bool) -> list[int]:
        return self.model.tokenize(text, add_special=False, parse_special=special)

    def _pinned_prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """What every chat with one of these system messages begins with: the part that two of them have in common."""
        prompts = []
        for text in texts if self.chat is not None else ():
            system = {"role": "system", "content": text}
            one, other = (self.chat_prompt([system, {"role": "user", "content": word}]) for word in ("a", "?"))
            same = one[: common_prefix(one, other)]
            if len(same) >= WORTH_SHARING:
                prompts.append(same[: self.context])
        return prompts
