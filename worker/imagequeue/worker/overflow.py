"""Where a job may go at once when its own pool refuses it: the models it names, in pools that have room now."""

from dataclasses import dataclass

from imagequeue.config.admission import tokens_of
from imagequeue.config.catalog import Catalog, Model, adapt_job
from imagequeue.config.errors import JobRefused, QueueUnavailable
from imagequeue.config.job import Job
from imagequeue.queue.ceilings import Pool
from imagequeue.queue.claims import Claim, Claims
from imagequeue.worker.board import Board


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A job worded for another model, whose pool has been charged for it."""

    job: Job
    model: Model
    pool: Pool


class Overflow:
    """Finds another pool. One that shares the refused pool's limit is no other."""

    def __init__(self, catalog: Catalog, board: Board) -> None:
        self._catalog = catalog
        self._board = board

    async def elsewhere(self, claims: Claims, claim: Claim, job: Job, refused: Pool) -> Elsewhere | None:
        """Return where the job goes on, its pool charged; None when no pool it may use has room now."""
        for name in job.overflow:
            for pool in self._board.pools.values():
                if pool.name == refused.name or name not in pool.models:
                    continue
                found = await self._charged(claims, claim, job, name, pool)
                if found is not None:
                    return found
        return None

    async def _charged(self, claims: Claims, claim: Claim, job: Job, name: str, pool: Pool) -> Elsewhere | None:
        model, plan = self._catalog.model(name), self._board.pool_plan(pool.name)
        try:
            worded = adapt_job(job, model)
        except JobRefused:
            return None
        if plan is None:
            return None
        try:
            charged = await claims.switch(claim, plan, images=worded.n, tokens=tokens_of(worded, self._catalog))
        except QueueUnavailable:
            return None
        return Elsewhere(job=worded, model=model, pool=pool) if charged else None
