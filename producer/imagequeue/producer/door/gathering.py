"""Single jobs of many requests at once, queued together: while one step of the server runs, the next one gathers.

At 500 requests a second that is a handful of steps instead of 500, and a slow server makes the steps larger, not the
line longer. Nobody waits for company: a job that comes alone is sent at once.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from imagequeue.producer.client import AsyncImageQueue, JobHandle
from imagequeue.queue.entries import BATCH_MAX, Entry

Waiting = tuple[Entry, asyncio.Future[JobHandle]]


class Gathering:
    """Queues jobs through one client; each caller gets its own job's handle or error."""

    def __init__(self, queue: AsyncImageQueue) -> None:
        self._queue = queue
        self._waiting: deque[Waiting] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def submit(self, entry: Entry) -> JobHandle:
        """Queue one job; errors as of `AsyncImageQueue.submit_many`.

        One with an idempotency key goes by itself: only such a job can be in conflict with one before, and its
        conflict is its own request's.
        """
        if entry.job.idempotency_key is not None:
            return (await self._handles([entry]))[0]
        answer: asyncio.Future[JobHandle] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, answer))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())
        return await answer

    async def _send_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            await self._send(batch)

    async def _send(self, batch: Sequence[Waiting]) -> None:
        try:
            handles = await self._handles([entry for entry, _ in batch])
        except Exception as error:  # a boundary between requests: each of those that were sent gets it and tells it
            _fail(batch, error)
        else:
            for (_, answer), handle in zip(batch, handles, strict=True):
                if not answer.done():
                    answer.set_result(handle)

    async def _handles(self, entries: Sequence[Entry]) -> list[JobHandle]:
        return await self._queue.submit_batch(entries)


def _fail(batch: Sequence[Waiting], error: Exception) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
