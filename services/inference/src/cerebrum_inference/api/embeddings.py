"""OpenAI's embeddings."""

from __future__ import annotations

import base64
import struct
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from cerebrum_inference.api.common import Deps, TokenId, prompt_tokens
from cerebrum_inference.engine import LoadedModel
from cerebrum_inference.threads import in_thread
from cerebrum_kit.errors import InvalidRequest, PromptTooLarge
from cerebrum_kit.responses import JobResponse
from cerebrum_kit.text import RequestModel, Text

router = APIRouter()
_MOST_INPUTS = 256

_One = Annotated[Text, Field(min_length=1)]
_Ids = Annotated[list[TokenId], Field(min_length=1)]
_Inputs = Annotated[list[_One], Field(min_length=1, max_length=_MOST_INPUTS)]
_IdInputs = Annotated[list[_Ids], Field(min_length=1, max_length=_MOST_INPUTS)]


class EmbeddingRequest(RequestModel):
    """One text or several, each as text or as token ids."""

    input: _One | _Ids | _Inputs | _IdInputs
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    user: Text | None = None

    def texts(self) -> list[str | list[int]]:
        if isinstance(self.input, str):
            return [self.input]
        if isinstance(self.input[0], int):
            return [self.input]
        return list(self.input)


@router.post("/v1/embeddings")
async def embeddings(body: EmbeddingRequest, deps: Deps) -> JobResponse:
    def tokens_of(model: LoadedModel) -> list[list[int]]:
        texts = [prompt_tokens(model, text, param="input") for text in body.texts()]
        for at, tokens in enumerate(texts):
            if not tokens:
                raise InvalidRequest(f"input {at} has no tokens.", param="input")
            if len(tokens) > model.context:
                raise PromptTooLarge(
                    f"input {at} has {len(tokens)} tokens; {model.row.id} holds {model.context}.", param="input"
                )
        return texts

    async def work() -> dict[str, Any]:
        deps.engine.admit()
        async with deps.engine.use(body.model or deps.default_model) as model:
            texts = await in_thread(tokens_of, model)
            vectors = await deps.engine.embed(model.row.id, texts)
            total = sum(map(len, texts))
            return {
                "object": "list",
                "model": model.row.id,
                "data": [
                    {"object": "embedding", "index": at, "embedding": _encoded(vector, body.encoding_format)}
                    for at, vector in enumerate(vectors)
                ],
                "usage": {"prompt_tokens": total, "total_tokens": total},
            }

    return JobResponse(work, lifecycle=deps.lifecycle)


def _encoded(vector: list[float], form: str) -> list[float] | str:
    if form == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
