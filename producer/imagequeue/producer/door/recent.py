"""The status of everything, read at most so often however many ask for it."""

import asyncio
import time
from typing import Final

from imagequeue.queue.status import Status
from imagequeue.queue.status_reading import StatusReader

FRESH_SECONDS: Final = 1.0


class RecentStatus:
    """Shares one reading of the status among all who ask within a second, and its failure among all who wait for it."""

    def __init__(self, reader: StatusReader) -> None:
        self._reader = reader
        self._reading: asyncio.Task[Status] | None = None
        self._read_at = float("-inf")
        self._status: Status | None = None

    async def read(self) -> Status:
        """Return a status that is at most FRESH_SECONDS old; QueueUnavailable when Redis does not answer."""
        if self._status is not None and time.monotonic() - self._read_at <= FRESH_SECONDS:
            return self._status
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(self._reading)

    async def _read(self) -> Status:
        self._status = await self._reader.read()
        self._read_at = time.monotonic()
        return self._status
