"""What a person or an app does to a job after it was enqueued: cancel it, try it again, keep its images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagequeue.config.errors import ImageQueueError, JobRefused, NotFound, QueueUnavailable
from imagequeue.config.job import PRIORITIES, Priority
from imagequeue.ledger.api import JobFacts, JobFailure
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.announcing import Announcer
from imagequeue.queue.record import JobRecord, check_id, read_records
from imagequeue.queue.scripts import TROUBLE, Scripts
from imagequeue.queue.views import Status, status_of

STATUS_AFTER_CANCEL: Final[Mapping[str, Status]] = {
    "queued": "cancelled",
    "scheduled": "cancelled",
    "deferred": "cancelled",
    "started": "running",
    "finished": "succeeded",
    "failed": "failed",
    "canceled": "cancelled",
    "stopped": "cancelled",
}
RETRIED: Final = frozenset({"failed", "canceled", "stopped", "scheduled", "deferred"})
MOVED: Final = frozenset({"queued", "scheduled", "deferred"})
ENDED_BADLY: Final = frozenset({"failed", "canceled", "stopped"})
DECIDED: Final = 1
"""A person or an app asked for it: it goes on whatever its calls left in doubt."""


class NotPossible(ImageQueueError):
    """A job cannot be treated so in the state it is in; the text says the state and what is possible."""


@dataclass(frozen=True, kw_only=True)
class Acted:
    """What an act did. `changed` is False when there was nothing to do; `note` is a line for people."""

    id: str
    status: Status
    changed: bool
    note: str


class Acts:
    """Acts on jobs. NotFound when there is no such job; Unavailable when Redis or the ledger does not answer."""

    def __init__(
        self, scripts: Scripts, ledger: Ledger, *, ttl_seconds: int, announcer: Announcer | None = None
    ) -> None:
        self._scripts = scripts
        self._ledger = ledger
        self._ttl_seconds = ttl_seconds
        self._announcer = announcer

    async def cancel(self, job_id: str) -> Acted:
        """Cancel a job: at once while it waits; while it runs unless its call has been sent; not after its end."""
        record = await self._record(job_id)
        before = (await self._scripts.run("cancel", [job_id, self._ttl_seconds])).decode()
        if not before:
            raise NotFound(f"job {job_id}: there is none of this id in Redis")
        status = STATUS_AFTER_CANCEL.get(before, "cancelled")
        if before in ("queued", "scheduled", "deferred"):
            await self._record_cancelled(record)
            return Acted(id=job_id, status=status, changed=True, note="cancelled")
        if before == "started":
            note = "asked to cancel; it ends cancelled unless its call has been sent already"
            return Acted(id=job_id, status=status, changed=True, note=note)
        if before == "canceled":  # whoever cancelled it may have died before the ledger knew
            await self._record_cancelled(record)
        return Acted(id=job_id, status=status_of(record), changed=False, note=f"ended before ({status_of(record)})")

    async def retry(self, job_id: str, *, priority: Priority | None = None) -> Acted:
        """Queue a failed, cancelled, expired or waiting job again, with all its attempts anew.

        `priority` puts it on another queue of its model; that alone is possible for a queued job too. NotPossible for
        a running or succeeded job.
        """
        _check_priority(priority)
        record = await self._record(job_id)
        if record.status in ENDED_BADLY:
            await self._ledger.reopen(job_id)  # before it is queued: a worker that finds an end makes no call
        before = (await self._scripts.run("revive", [job_id, priority or "", DECIDED])).decode()
        if before in RETRIED:
            return Acted(id=job_id, status="queued", changed=True, note="queued again")
        if before == "joined":
            note = "waits for a call under way that brings the same images, or for a stored result to be told"
            return Acted(id=job_id, status="waiting", changed=record.status in ENDED_BADLY, note=note)
        if before == "queued":
            return _queued_before(record, priority)
        raise NotPossible(
            f"job {job_id} is {status_of(record)}; only failed, cancelled, expired or waiting ones go again"
        )

    async def prioritize(self, job_id: str, priority: Priority) -> Acted:
        """Let a job that has not started go on at another priority; NotPossible once it has."""
        _check_priority(priority)
        record = await self._record(job_id)
        if record.priority == priority and record.status in MOVED:
            return Acted(id=job_id, status=status_of(record), changed=False, note=f"has priority {priority} already")
        before = (await self._scripts.run("prioritize", [job_id, priority])).decode()
        if before in MOVED:
            status: Status = "queued" if before == "queued" else "waiting"
            return Acted(id=job_id, status=status, changed=True, note=f"moved to priority {priority}")
        raise NotPossible(f"job {job_id} is {status_of(record)}; only one that has not started changes its priority")

    async def keep(self, job_id: str, sha256s: Sequence[str] | None = None) -> Acted:
        """Note which images of a job are used, None for all; NotFound when it has no images, or not these."""
        await self._ledger.keep(check_id(job_id), sha256s)
        kept = "all images" if sha256s is None else f"{len(set(sha256s))} images"
        return Acted(id=job_id, status="succeeded", changed=True, note=f"kept {kept}")

    async def _record_cancelled(self, record: JobRecord) -> None:
        failure, job = _cancelled(), record.job()
        if self._announcer is not None and job is not None:
            asked = job.model_copy(update={"model": record.model, "tenant": record.tenant})
            failure = await self._announcer.failure(record.id, asked, failure)
        await self._ledger.record_outcome(record.id, failure, _facts(record))

    async def _record(self, job_id: str) -> JobRecord:
        try:
            found = await read_records(self._scripts, [check_id(job_id)])
        except TROUBLE as error:
            raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
        if job_id in found:
            return found[job_id]
        if job_id in await self._ledger.outcomes([job_id]):
            raise NotPossible(
                f"job {job_id} ended and its time in Redis is over; only the ledger knows it, enqueue it anew"
            )
        raise NotFound(f"job {job_id}: there is none of this id")


def _check_priority(priority: str | None) -> None:
    """JobRefused for a word that is none: on a queue that nobody serves a job would wait for ever."""
    if priority is not None and priority not in PRIORITIES:
        raise JobRefused("priority", f"accepted: {', '.join(PRIORITIES)}")


def _queued_before(record: JobRecord, priority: Priority | None) -> Acted:
    moved = priority is not None and priority != record.priority
    note = f"moved to priority {priority}" if moved else "is queued already"
    return Acted(id=record.id, status="queued", changed=moved, note=note)


def _cancelled() -> JobFailure:
    return JobFailure(code="cancelled", message="cancelled before it was called", status="cancelled")


def _facts(record: JobRecord) -> JobFacts:
    job = record.job()
    return JobFacts(
        model=record.model,
        tenant=record.tenant,
        priority=record.priority,
        tags=job.tags if job else {},
        intent=job.intent if job else None,
    )
