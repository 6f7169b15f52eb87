"""Attempts that stay held although nobody works on them any more go in doubt, so that reconciliation decides them.

A killed worker leaves its attempt held; the next delivery of the job puts it in doubt. Where there is no next
delivery (the job was cancelled, has expired, or is gone from Redis), this does.
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from imagequeue.config.clock import Clock
from imagequeue.config.errors import ImageQueueError
from imagequeue.ledger.api import AttemptRow, Ending
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.reads import old_holds
from imagequeue.queue.scripts import TROUBLE, Scripts
from imagequeue.queue.text import text

LOOK_SECONDS: Final = 120.0
SWEPT_MAX: Final = 500
"""How many attempts one look takes up; the rest waits for the next."""
MARGIN_SECONDS: Final = 60.0
"""Beyond two calls' deadlines: until then an attempt may still be at a gate, under way or being stored."""
UNDER_WAY: Final = frozenset({"queued", "started", "scheduled", "deferred"})

log = structlog.get_logger("imagequeue.worker")


class Sweeper:
    """Looks now and then for attempts that were left held."""

    def __init__(self, *, ledger: Ledger, scripts: Scripts, clock: Clock, call_seconds: float) -> None:
        self._ledger = ledger
        self._scripts = scripts
        self._clock = clock
        self._looked_at: AttemptRow | None = None
        self._age = timedelta(seconds=2 * call_seconds + MARGIN_SECONDS)

    async def run(self) -> None:
        """Look for ever; what fails is tried again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS * (0.5 + random.random()))  # noqa: S311 - spread, not a secret
            try:
                await self.look()
            except (ImageQueueError, *TROUBLE) as error:
                log.warning("left attempts cannot be looked for", error=str(error))

    async def look(self) -> int:
        """Put in doubt what was left held; return how many attempts that were.

        Each look goes on where the last one ended: those of jobs under way stay held, and there may be many of them.
        """
        before, after = self._clock.now() - self._age, self._looked_at
        rows = await self._ledger.read(lambda connection: old_holds(connection, before, SWEPT_MAX, after))
        self._looked_at = rows[-1] if len(rows) == SWEPT_MAX else None
        swept = 0
        for row in await self._left(rows):
            reason = f"held since {row.held_at:%Y-%m-%d %H:%M} UTC; its worker is gone and the job is over"
            ending = Ending(ended_at=row.held_at + self._age, error_code="worker_lost", error_message=reason)
            swept += await self._ledger.doubt(row.attempt_id, ending)
        if swept:
            log.warning("attempts of lost workers are in doubt", attempts=swept)
        return swept

    async def _left(self, rows: Sequence[AttemptRow]) -> list[AttemptRow]:
        """Return the attempts whose jobs are over or gone; a job under way meets its own attempts again."""
        keys = self._scripts.keys
        pipe = self._scripts.redis.pipeline(transaction=False)
        for row in rows:
            pipe.hget(keys.job(row.job_id), "status")
        statuses = await pipe.execute() if rows else []
        return [
            row for row, status in zip(rows, statuses, strict=True) if status is None or text(status) not in UNDER_WAY
        ]
