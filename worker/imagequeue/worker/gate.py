"""The last look at the pace, right before a call is sent.

A permit is taken when a job is claimed; between that and the call lie the ledger's commit and whatever else the
process does. When one of these stalls, the jobs behind it come out all at once, which the provider sees as a burst. The
gate lets them out at no more than the provider's own ceiling, and after a stall decides anew instead of keeping to a
timetable.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from imagequeue.queue.ceilings import Pool

MINUTE_SECONDS: Final = 60.0


class Gate:
    """A token bucket in this process: `interval_seconds` for each image, at most `burst_seconds` ahead."""

    def __init__(self, *, interval_seconds: float, burst_seconds: float, now: Callable[[], float]) -> None:
        self._interval_seconds = interval_seconds
        self._burst_seconds = burst_seconds
        self._now = now
        self._arrival = 0.0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def passed(self, images: int) -> None:
        """Return when a call for so many images may be sent; first come, first served."""
        if not self._waiting and self._wait_seconds(images) <= 0:
            self._charge(images)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, images))
        self._release()
        await turn

    def _wait_seconds(self, images: int) -> float:
        room = max(self._burst_seconds - images * self._interval_seconds, 0.0)
        return self._arrival - self._now() - room

    def _charge(self, images: int) -> None:
        self._arrival = max(self._arrival, self._now()) + images * self._interval_seconds

    def _release(self) -> None:
        """Let out whom the bucket allows now, and come back for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            turn, images = self._waiting[0]
            wait_seconds = 0.0 if turn.done() else self._wait_seconds(images)
            if wait_seconds > 0:
                self._timer = asyncio.get_running_loop().call_later(wait_seconds, self._release)
                return
            self._waiting.popleft()
            if not turn.done():  # else its job was stopped while it waited
                self._charge(images)
                turn.set_result(None)


class Gates:
    """One gate for each pool that has a ceiling."""

    def __init__(self, *, burst_seconds: float) -> None:
        self._burst_seconds = burst_seconds
        self._gates: dict[tuple[str, float], Gate] = {}

    async def passed(self, pool: Pool, images: int) -> None:
        """Return when a call of this pool may be sent."""
        ceiling = pool.limits.images_per_minute
        if ceiling is not None:
            await self._gate(pool.name, MINUTE_SECONDS / ceiling).passed(images)

    def _gate(self, name: str, interval_seconds: float) -> Gate:
        key = (name, interval_seconds)
        if key not in self._gates:
            self._gates[key] = Gate(
                interval_seconds=interval_seconds,
                burst_seconds=self._burst_seconds,
                now=asyncio.get_running_loop().time,
            )
        return self._gates[key]
