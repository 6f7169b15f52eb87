"""Gathers what a webhook says of a job that is about to end, for whoever writes the end into the ledger.

The messages go into the ledger in the transaction that ends the job; a worker delivers them.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from imagequeue.config.clock import Clock
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings
from imagequeue.ledger.api import (
    AttemptRow,
    AttemptState,
    CacheHit,
    Ending,
    JobCost,
    JobError,
    JobFacts,
    JobFailure,
    Outcome,
    Settlement,
    WebhookDue,
)
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.notices import notices, wanted
from imagequeue.queue.record import read_records
from imagequeue.queue.scripts import TROUBLE, Scripts


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """The attempt that ends a job, as it will stand in the ledger: `usd_nano` None for one in doubt."""

    attempt_id: int
    state: AttemptState
    told: Settlement | Ending
    usd_nano: int | None = 0


class Announcer:
    """Adds the messages that are due to the end of a job; Unavailable when the ledger does not answer."""

    def __init__(self, scripts: Scripts, ledger: Ledger, settings: Settings, clock: Clock) -> None:
        self._scripts = scripts
        self._ledger = ledger
        self._endpoints = settings.webhooks
        self._base_url = settings.public_url
        self._clock = clock

    async def settlement(self, job_id: str, job: Job, attempt_id: int, entry: Settlement, cost: JobCost) -> Settlement:
        """Return a settlement with the messages about the job's success."""
        if not wanted(job, "succeeded", self._endpoints):
            return entry
        deciding = Deciding(attempt_id=attempt_id, state="settled", told=entry, usd_nano=entry.usd_nano)
        outcome = Outcome(
            job_id=job_id,
            status="succeeded",
            finished_at=self._clock.now(),
            attempt_id=attempt_id,
            images=entry.images,
            cost=cost,
            facts=_facts(job),
        )
        return replace(entry, webhooks=await self._messages(job, outcome, deciding))

    async def failure(self, job_id: str, job: Job, failure: JobFailure, deciding: Deciding | None = None) -> JobFailure:
        """Return a failure, a cancellation or an expiry with the messages about it."""
        if not wanted(job, failure.status, self._endpoints):
            return failure
        error = JobError(code=failure.code, message=failure.message, retryable=failure.retryable)
        outcome = Outcome(
            job_id=job_id,
            status=failure.status,
            finished_at=self._clock.now(),
            attempt_id=deciding.attempt_id if deciding else None,
            error=error,
            facts=_facts(job),
        )
        return replace(failure, webhooks=await self._messages(job, outcome, deciding))

    async def cache_hit(self, job_id: str, job: Job, hit: CacheHit) -> CacheHit:
        """Return a hit of the cache with the messages about the job's success."""
        if not wanted(job, "succeeded", self._endpoints):
            return hit
        cost = JobCost(usd_nano=0, model=job.model or "", org="", delivery="cache")
        outcome = Outcome(
            job_id=job_id,
            status="succeeded",
            finished_at=self._clock.now(),
            images=hit.images,
            cost=cost,
            cached=True,
            saved_nano=hit.saved_nano,
            facts=_facts(job),
        )
        return replace(hit, webhooks=await self._messages(job, outcome, None))

    async def _messages(self, job: Job, outcome: Outcome, deciding: Deciding | None) -> tuple[WebhookDue, ...]:
        before = (await self._ledger.attempts([outcome.job_id])).get(outcome.job_id, ())
        attempts = before if deciding is None else tuple(_as_it_will_be(row, deciding) for row in before)
        since = await self._enqueued_at(outcome.job_id)
        return notices(job, outcome, attempts, self._endpoints, base_url=self._base_url, enqueued_at=since)

    async def _enqueued_at(self, job_id: str) -> datetime | None:
        """A nicety: a Redis that does not answer now holds up no end of a job."""
        try:
            record = (await read_records(self._scripts, [job_id])).get(job_id)
        except TROUBLE:
            return None
        return record.enqueued_at if record else None


def _facts(job: Job) -> JobFacts:
    return JobFacts(model=job.model or "", tenant=job.tenant, priority=job.priority, tags=job.tags, intent=job.intent)


def _as_it_will_be(row: AttemptRow, deciding: Deciding) -> AttemptRow:
    if row.attempt_id != deciding.attempt_id:
        return row
    told = deciding.told
    ended = replace(
        row,
        state=deciding.state,
        usd_nano=row.usd_nano if deciding.usd_nano is None else deciding.usd_nano,
        sent_at=told.sent_at,
        ended_at=told.ended_at,
        status_code=told.status_code,
        request_id=told.request_id,
    )
    if isinstance(told, Settlement):
        return replace(ended, images=len(told.images))
    return replace(ended, error_code=told.error_code, error_message=told.error_message)
