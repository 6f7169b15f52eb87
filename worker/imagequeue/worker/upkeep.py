"""What has to be done again and again beside pulling: reap, promote, look up the board, release, heal."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence

import structlog
from redis.exceptions import RedisError

from imagequeue.config.clock import Clock
from imagequeue.config.errors import ImageQueueError, QueueUnavailable
from imagequeue.queue import tenants
from imagequeue.queue.claims import forget, promote, reap, tend
from imagequeue.queue.places import sample_flow
from imagequeue.queue.scripts import TROUBLE, Scripts
from imagequeue.worker.board import Board
from imagequeue.worker.health import Health

REAP_SECONDS = 0.8
BOARD_SECONDS = 1.0
HEAL_SECONDS = 0.5

log = structlog.get_logger("imagequeue.worker")


class Upkeep:
    """The loops of one worker; each goes on whatever happens, and notes what fails."""

    def __init__(
        self,
        *,
        scripts: Scripts,
        board: Board,
        health: Health,
        clock: Clock,
        pings: Sequence[tuple[str, Callable[[], Awaitable[None]]]],
        worker: Callable[[], str],
        wake: Callable[[], None],
        hint: Callable[[], None],
        tick: Callable[[], None],
        stalled: Callable[[], str] = str,
    ) -> None:
        self._scripts = scripts
        self._board = board
        self._health = health
        self._clock = clock
        self._pings = dict(pings)
        self._worker = worker
        self._wake = wake
        self._hint = hint
        self._tick = tick
        self._stalled = stalled
        self._look_now = asyncio.Event()

    def start(self) -> list[asyncio.Task[None]]:
        """Start every loop; cancel the tasks to end them."""
        loops = (
            ("reap", REAP_SECONDS, self._reap),
            ("board", 0.0, self._look),
            ("heal", HEAL_SECONDS, self._heal),
        )
        return [asyncio.create_task(self._again(*each), name=each[0]) for each in loops]

    async def _again(self, name: str, pause_seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        # A client library may take a cancellation for its own timeout, so the exception alone does not end the loop.
        this = asyncio.current_task()
        while this is None or not this.cancelling():
            try:
                await step()
            except (QueueUnavailable, RedisError) as error:  # also an answer that nobody foresaw: the loop goes on
                self._health.fails("queue", str(error))
                await asyncio.sleep(HEAL_SECONDS)
            except ImageQueueError as error:
                log.warning("upkeep failed", loop=name, error=str(error))
                await asyncio.sleep(HEAL_SECONDS)
            except Exception:  # without reaping, a dead worker's jobs would stand still
                log.exception("upkeep broke off", loop=name)
                await asyncio.sleep(HEAL_SECONDS)
            await asyncio.sleep(pause_seconds * (0.75 + random.random() / 2))  # noqa: S311 - spread, not a secret

    async def _reap(self) -> None:
        returned = await reap(self._scripts, worker=self._worker())
        if returned:
            log.warning("took over the jobs of a dead worker", jobs=returned)
        next_due_us = await promote(self._scripts, self._board.queues)
        await tend(self._scripts)
        if returned or next_due_us == 0:
            self._wake()

    def queues_changed(self) -> None:
        """Look up the board now: there is a queue that nobody used before."""
        self._look_now.set()

    async def _look(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BOARD_SECONDS):
                await self._look_now.wait()
        self._look_now.clear()
        self._tick()
        await self._board.refresh(self._scripts)
        await sample_flow(self._scripts, self._board.plan)
        await forget(self._scripts, self._board.queues)
        for hold in (await tenants.held(self._scripts)).values():
            if hold.recheck_at is not None and hold.recheck_at <= self._clock.now().timestamp():
                await tenants.recheck(self._scripts, hold.tenant)
        self._hint()

    async def _heal(self) -> None:
        if reason := self._stalled():
            self._health.fails("ledger", reason)
        for part in self._health.sick:
            ping = self._pings.get(part)
            if ping is None:
                continue
            try:
                await ping()
            except (ImageQueueError, *TROUBLE) as error:
                self._health.fails(part, str(error))
            else:
                self._health.works(part)
                log.info("works again", part=part)
                self._wake()
