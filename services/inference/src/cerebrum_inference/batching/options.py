"""How a model is served: fixed when it is loaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """See the module.

    Attributes:
        scratch: a sequence without a slot, for rows that nobody reads.
        context: tokens that one generation can hold, its prompt included.
        step_seconds: what a step may take while streams wait for their next token.
        coalesce_seconds: pieces of a stream that follow each other faster are sent as one.
        idle_tokens: tokens of finished generations that stay in the cells.
        speculate: whether drafts are tried at all.
        gpu_layers: of the model, those that a GPU computes if there is one; -1 for all.
    """

    slots: int
    threads: int
    context: int
    step_seconds: float = 0.25
    coalesce_seconds: float = 0.02
    idle_tokens: int = 4096
    speculate: bool = True
    flash_attention: bool | None = None
    gpu_layers: int = -1
    scratch: int = 0
