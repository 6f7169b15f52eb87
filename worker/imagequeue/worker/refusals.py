"""What the provider's answers do to a pool: a pause, a suspension, a model it has not, trouble that is told."""

import time
from collections.abc import Awaitable, Callable

from imagequeue.config.catalog import Model
from imagequeue.config.clock import Clock, iso
from imagequeue.queue import pools
from imagequeue.queue.ceilings import Pool
from imagequeue.queue.reported import report_gone
from imagequeue.queue.scripts import Scripts
from imagequeue.worker.decide import BackInLine
from imagequeue.worker.health import Health
from imagequeue.worker.persistence import until_done

TROUBLE_NOTED_SECONDS = 1.0
"""So often a worker notes what calls without images came to: a provider that is down fails hundreds a second."""

Reaction = Callable[[str, str], None]
"""Told at once when an organization turns out not to serve a model: (org, model)."""


class Refusals:
    """Tells the queue what a pool can do no more, so that every worker knows."""

    def __init__(self, scripts: Scripts, health: Health, clock: Clock, on_model_gone: Reaction) -> None:
        self._scripts = scripts
        self._health = health
        self._clock = clock
        self._on_model_gone = on_model_gone
        self._troubled_at: dict[str, float] = {}

    async def refused(self, pool: Pool, model: Model, decision: BackInLine) -> None:
        """The provider refused a call for the pool's sake: the pool pauses, is suspended, or loses the model."""
        if decision.model_gone:
            await self._mark_gone(pool, model, decision.reason)
        elif decision.suspend:
            await self._persist(lambda: pools.suspend(self._scripts, pool.name, reason=decision.reason))
        else:
            wait_us = int(decision.pause_seconds * 1_000_000)
            await self._persist(lambda: pools.refuse(self._scripts, pool.name, wait_us=wait_us, reason=decision.reason))

    async def troubled(self, pool: Pool, reason: str) -> None:
        """A call of the pool brought no images and no refusal that concerns the pool: told to who looks at it."""
        now = time.monotonic()
        if now - self._troubled_at.get(pool.name, -TROUBLE_NOTED_SECONDS) >= TROUBLE_NOTED_SECONDS:
            self._troubled_at[pool.name] = now
            await self._persist(lambda: pools.trouble(self._scripts, pool.name, reason=reason))

    async def _mark_gone(self, pool: Pool, model: Model, reason: str) -> None:
        at = iso(self._clock.now())
        await self._persist(lambda: report_gone(self._scripts, pool.org.name, model.name, reason=reason, at=at))
        self._on_model_gone(pool.org.name, model.name)

    async def _persist(self, step: Callable[[], Awaitable[object]]) -> None:
        await until_done(self._health, "queue", step)
