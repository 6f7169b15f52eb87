"""Sends many entries in batches, one ahead: the next is made ready while the server works on the one before."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

from imagequeue.queue.entries import BATCH_MAX, Entry

AHEAD_MAX: Final = 2

Answer = TypeVar("Answer")


async def send_in_batches(
    entries: Iterable[Entry], send: Callable[[Sequence[Entry]], Awaitable[list[Answer]]]
) -> AsyncGenerator[list[Answer]]:
    """Yield what `send` answers for each batch, in order; the entries are drawn as they are needed.

    When a batch fails its error is raised; batches before it are sent, and at most one after it.
    """
    ahead: deque[asyncio.Task[list[Answer]]] = deque()
    try:
        for batch in _batches(entries):
            ahead.append(asyncio.ensure_future(_call(send, batch)))
            await asyncio.sleep(0)  # it encodes and sends before the next batch is drawn
            if len(ahead) >= AHEAD_MAX:
                yield await ahead.popleft()
        while ahead:
            yield await ahead.popleft()
    finally:
        await asyncio.gather(*ahead, return_exceptions=True)


async def _call(send: Callable[[Sequence[Entry]], Awaitable[list[Answer]]], batch: Sequence[Entry]) -> list[Answer]:
    return await send(batch)


def _batches(entries: Iterable[Entry]) -> Iterator[Sequence[Entry]]:
    remaining = iter(entries)
    while batch := list(islice(remaining, BATCH_MAX)):
        yield batch
