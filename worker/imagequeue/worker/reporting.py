"""Tells Redis what a worker measured, how it is, and how far the pools are used: for metrics and advice."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import RedisError

from imagequeue.config.clock import Clock
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.hours import hour_of, note_hour
from imagequeue.queue.measured import Vitals, add_measured, tell_vitals
from imagequeue.queue.measures import COMMITS, LOOP_LAG
from imagequeue.queue.scripts import Scripts
from imagequeue.worker.board import Board
from imagequeue.worker.meter import Meter

TICK_SECONDS: Final = 0.25
TICKS_PER_REPORT: Final = 8
LAST_SECONDS_MAX: Final = 2.0


class Reporting:
    """The loop of one worker; it goes on whatever happens, and nothing waits for it."""

    def __init__(
        self,
        *,
        scripts: Scripts,
        meter: Meter,
        ledger: Ledger,
        board: Board,
        clock: Clock,
        worker: Callable[[], str],
    ) -> None:
        self._scripts = scripts
        self._meter = meter
        self._ledger = ledger
        self._board = board
        self._clock = clock
        self._worker = worker
        self._noted_hour = 0

    async def run(self) -> None:
        """Measure the event loop all the time and report every two seconds, and once more at the end."""
        try:
            while True:  # ends when it is cancelled
                lag_seconds = max([await self._tick() for _ in range(TICKS_PER_REPORT)])
                await self.report(lag_seconds)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS_MAX):
                    await self.report(0.0)

    async def _tick(self) -> float:
        due = time.monotonic() + TICK_SECONDS
        await asyncio.sleep(TICK_SECONDS)
        late_seconds = max(time.monotonic() - due, 0.0)
        self._meter.observe(LOOP_LAG, late_seconds)
        return late_seconds

    async def report(self, lag_seconds: float) -> None:
        """Tell everything once. What could not be told is told next time, after a lost reply perhaps twice."""
        for seconds in self._ledger.commit_seconds():
            self._meter.observe(COMMITS, seconds)
        taken = self._meter.take()
        try:
            await add_measured(self._scripts, taken)
        except (RedisError, OSError):
            self._meter.put_back(taken)
            return
        with contextlib.suppress(RedisError, OSError):
            await self._tell_moment(lag_seconds)

    async def _tell_moment(self, lag_seconds: float) -> None:
        vitals = Vitals(
            ledger_backlog=self._ledger.backlog,
            ledger_stalled_seconds=round(self._ledger.stalled_seconds, 3),
            loop_lag_seconds=round(lag_seconds, 6),
        )
        await tell_vitals(self._scripts, self._worker(), vitals)
        hour = hour_of(self._clock.now())
        if hour != self._noted_hour:
            await note_hour(self._scripts, hour, {name: pool.limits for name, pool in self._board.pools.items()})
            self._noted_hour = hour
