"""Work in a thread that holds on to what it uses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """`asyncio.to_thread` for work with a model: ends, cancelled or not, only when the thread has ended.

    A thread cannot be cancelled. Were it left behind, its model could be freed while it computes with it, which ends
    the process.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **more))
    try:
        return await asyncio.shield(running)
    finally:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({running})
