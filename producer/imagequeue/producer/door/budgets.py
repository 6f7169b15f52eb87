"""What the jobs that a key brought in this month may cost at most, kept under the key's monthly budget.

One counter for each key and UTC month in Redis (spend.lua), for all doors. It counts the upper bound of every job when
it is accepted and gives nothing back when one turns out cheaper or fails: the ledger says what was spent, this says
what was let in. Two requests at once cannot pass the budget together, nor keep each other out of what only one needs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from imagequeue.config.catalog import Catalog, price_job_upper_bound
from imagequeue.config.clock import Clock
from imagequeue.config.job import Job
from imagequeue.config.money import format_usd
from imagequeue.producer.door.access import Caller
from imagequeue.producer.door.keys import KeyRecord
from imagequeue.producer.door.problems import too_many
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.together import Together

KEPT_SECONDS: Final = 62 * 86_400


class Budgets:
    """Takes from budgets, and gives back what was not used."""

    def __init__(self, scripts: Scripts, catalog: Catalog, clock: Clock) -> None:
        self._scripts = Together(scripts)
        self._catalog = catalog
        self._clock = clock

    async def take(self, caller: Caller, jobs: Sequence[Job]) -> int:
        """Take what the jobs cost at most and return it, in nano-dollars; Problem 429 when it is not there."""
        key = caller.key
        if key is None or key.monthly_budget_nano_usd is None:
            return 0
        now = self._clock.now()
        cost = sum(self._bound(job, now) for job in jobs)
        taken, left = await self._spend(key, now, cost)
        if not taken:
            message = f"this key's budget for the month has {format_usd(left)} USD left; up to {format_usd(cost)} asked"
            raise too_many(message, _until_next_month(now), code="budget_exceeded", kind="insufficient_quota")
        return cost

    async def give_back(self, caller: Caller, nano_usd: int) -> None:
        """Return what was taken for jobs that were not queued."""
        if caller.key is not None and nano_usd > 0:
            await self._spend(caller.key, self._clock.now(), -nano_usd)

    def bound(self, caller: Caller, job: Job) -> int:
        """Return what `take` takes for a job, in nano-dollars."""
        limited = caller.key is not None and caller.key.monthly_budget_nano_usd is not None
        return self._bound(job, self._clock.now()) if limited else 0

    def _bound(self, job: Job, now: datetime) -> int:
        model = self._catalog.model(str(job.model))
        return price_job_upper_bound(job, model, on=now.date(), delivery="now")

    async def _spend(self, key: KeyRecord, now: datetime, nano_usd: int) -> tuple[bool, int]:
        """Take so much, or give it back when it is less than 0: whether it was there, and what is left."""
        month, most = f"{now:%Y-%m}", key.monthly_budget_nano_usd or 0
        taken, left = await self._scripts.run("spend", [key.id, month, nano_usd, most, KEPT_SECONDS])
        return bool(taken), int(left)


def _until_next_month(now: datetime) -> float:
    first = (now.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first - now).total_seconds()
