"""Where a job may go when its own pool refuses it or is shut: the models it names, in pools that have room now."""

from dataclasses import dataclass

from imagequeue.config.admission import tokens_of
from imagequeue.config.catalog import Catalog, Model
from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.job import Job
from imagequeue.queue.ceilings import Pool
from imagequeue.queue.claims import Claim, Claims
from imagequeue.queue.ways import worded
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
        for other in worded(job, self._catalog):
            for pool in self._board.pools.values():
                if pool.name != refused.name and other.model in pool.models:
                    found = await self._charged(claims, claim, other, pool)
                    if found is not None:
                        return found
        return None

    def claimed_for(self, job: Job, pool: Pool) -> Elsewhere | None:
        """Return a job that was claimed for another model's pool as it is called there; None when it cannot be."""
        other = next((each for each in worded(job, self._catalog) if each.model in pool.models), None)
        return None if other is None else Elsewhere(job=other, model=self._catalog.model(str(other.model)), pool=pool)

    async def _charged(self, claims: Claims, claim: Claim, job: Job, pool: Pool) -> Elsewhere | None:
        plan = self._board.pool_plan(pool.name)
        if plan is None:
            return None
        try:
            charged = await claims.switch(claim, plan, images=job.n, tokens=tokens_of(job, self._catalog))
        except QueueUnavailable:
            return None
        return Elsewhere(job=job, model=self._catalog.model(str(job.model)), pool=pool) if charged else None
