"""The job view: a job as every door shows it, put together from Redis and the ledger. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

from imagequeue.config.clock import iso
from imagequeue.config.money import format_usd
from imagequeue.ledger.api import AttemptRow, ImageRecord, JobError, JobFacts, Outcome
from imagequeue.queue.record import JobRecord, parse_moment

Status = Literal["queued", "waiting", "running", "succeeded", "failed", "cancelled", "expired"]
Reason = Literal["pace", "paused", "budget", "backoff", "batch", "doubt", "joined"]

ENDED: Final = frozenset({"succeeded", "failed", "cancelled", "expired"})
STATUS_OF_RQ: Final[Mapping[str, Status]] = {
    "queued": "queued",
    "started": "running",
    "scheduled": "waiting",
    "deferred": "waiting",
    "finished": "succeeded",
    "failed": "failed",
    "canceled": "cancelled",
    "stopped": "cancelled",
}
EXPIRED: Final = "expired"
JOINED: Final = "waits for a job that asks for the same images, or for its result"
DEPENDS: Final = "enqueued with RQ's depends_on, which is not used here; `imagequeue jobs retry` queues it"

LinkTo = Callable[[ImageRecord], str]
"""Says where an image can be fetched."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Why a job does not run yet; `until` None: nobody knows, or a person decides.

    `to_tenant` is the detail for whoever may know of one tenant only, where the detail tells of others; None: the same.
    """

    reason: Reason
    until: datetime | None
    detail: str
    to_tenant: str | None = None


@dataclass(frozen=True, kw_only=True)
class Image:
    """One durable image and where it can be fetched."""

    url: str
    record: ImageRecord


@dataclass(frozen=True, kw_only=True)
class Timings:
    """When a job was enqueued, first called and ended; seconds in the queue, and of its deciding call."""

    enqueued: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    queued_s: float | None = None
    call_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class JobView:
    """One job as seen from outside. `job` has the fields of the job object, as far as they are still known."""

    id: str
    status: Status
    waiting: Waiting | None
    job: Mapping[str, object]
    outcome: Outcome | None
    images: tuple[Image, ...]
    attempts: tuple[AttemptRow, ...]
    error: JobError | None
    timings: Timings

    @property
    def ended(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.status in ENDED

    @property
    def usd_nano(self) -> int:
        """What all its attempts cost so far, in nano-dollars, with what is held for open ones."""
        return sum(attempt.usd_nano for attempt in self.attempts)

    def as_json(self) -> dict[str, object]:
        """Return the view as JSON values; times ISO 8601 in UTC, money as text with nine decimals."""
        cost = self.outcome.cost if self.outcome else None
        return {
            "id": self.id,
            "status": self.status,
            "waiting": self.waiting
            and {"reason": self.waiting.reason, "until": _iso(self.waiting.until), "detail": self.waiting.detail},
            "job": dict(self.job),
            "images": [_image(image) for image in self.images],
            "cost": cost
            and {
                "usd": format_usd(cost.usd_nano), "model": cost.model, "org": cost.org, "delivery": cost.delivery,
            },
            "attempts": [_attempt(row) for row in self.attempts],
            "error": self.error
            and {"code": self.error.code, "message": self.error.message, "retryable": self.error.retryable},
            "timings": {
                "enqueued": _iso(self.timings.enqueued),
                "started": _iso(self.timings.started),
                "finished": _iso(self.timings.finished),
                "queued_s": self.timings.queued_s,
                "call_s": self.timings.call_s,
            },
        }  # fmt: skip


def view_of_record(
    record: JobRecord,
    outcome: Outcome | None,
    attempts: Sequence[AttemptRow],
    *,
    waiting: Waiting | None,
    link: LinkTo,
    joins_others: bool = False,
) -> JobView:
    """Return the view of a job that Redis has. `waiting` is for a queued one; others say themselves why they wait.

    `joins_others`: a job may have joined the call of another tenant's.
    """
    error = _error(record, outcome)
    status = status_of(record)
    ended = outcome if status in ENDED else None
    return JobView(
        id=record.id,
        status=status,
        waiting=waiting if status == "queued" else _waiting(record, joins_others=joins_others),
        job=_job(record),
        outcome=ended,
        images=_images(ended, link),
        attempts=tuple(attempts),
        error=error if status in ("failed", EXPIRED) else None,
        timings=_timings(record, ended, attempts),
    )


def view_of_ledger(job_id: str, outcome: Outcome, attempts: Sequence[AttemptRow], *, link: LinkTo) -> JobView:
    """Return the view of a job that only the ledger still knows."""
    first = attempts[0].held_at if attempts else None
    return JobView(
        id=job_id,
        status=outcome.status,
        waiting=None,
        job=_job_of_attempt(attempts[0]) if attempts else _job_of_outcome(outcome.facts),
        outcome=outcome,
        images=_images(outcome, link),
        attempts=tuple(attempts),
        error=outcome.error if outcome.status in ("failed", EXPIRED) else None,
        timings=Timings(started=first, finished=outcome.finished_at, call_s=_call_seconds(outcome, attempts)),
    )


def status_of(record: JobRecord) -> Status:
    """Return the status of a job as this product words it."""
    status = STATUS_OF_RQ.get(record.status, "queued")
    expired = status == "failed" and record.error is not None and record.error.get("code") == EXPIRED
    return "expired" if expired else status


def _waiting(record: JobRecord, *, joins_others: bool) -> Waiting | None:
    if STATUS_OF_RQ.get(record.status) != "waiting":
        return None
    if record.status == "deferred" and record.wait is None:  # by RQ's own client; we always say why
        return Waiting(reason="paused", until=None, detail=DEPENDS)
    wait = record.wait or {}
    reason = wait.get("reason")
    until = parse_moment(wait.get("until"))
    job = record.job() if until is None and record.status == "scheduled" else None
    return Waiting(
        reason=reason if reason in get_args(Reason) else "backoff",  # type: ignore[arg-type]  # checked in this line
        until=job.not_before if job else until,
        detail=str(wait.get("detail") or ""),
        to_tenant=JOINED if joins_others and reason == "joined" else None,
    )


def _error(record: JobRecord, outcome: Outcome | None) -> JobError | None:
    stored = record.error
    if stored is None:
        return outcome.error if outcome else None
    return JobError(
        code=str(stored.get("code")),
        message=str(stored.get("message")),
        retryable=bool(stored.get("retryable")),
    )


def _job(record: JobRecord) -> dict[str, object]:
    """What was asked for, as it is queued now: a retry may have changed its priority, an overflow its model."""
    job = record.job()
    stands = {"model": record.model, "priority": record.priority}
    if job is None:
        return {**stands, "tenant": record.tenant}
    return {**job.model_dump(mode="json"), **stands, "cache": job.cache or "off"}


def _job_of_attempt(row: AttemptRow) -> dict[str, object]:
    """What the ledger remembers of a job: not its prompt."""
    return {
        "model": row.model, "operation": row.operation, "size": row.size, "quality": row.quality,
        "priority": row.priority, "tenant": row.tenant, "tags": dict(row.tags), "intent": row.intent,
    }  # fmt: skip


def _job_of_outcome(facts: JobFacts) -> dict[str, object]:
    """What the ledger remembers of a job that ended without an attempt."""
    return {
        "model": facts.model or None, "priority": facts.priority, "tenant": facts.tenant,
        "tags": dict(facts.tags), "intent": facts.intent,
    }  # fmt: skip


def _images(outcome: Outcome | None, link: LinkTo) -> tuple[Image, ...]:
    return tuple(Image(url=link(record), record=record) for record in outcome.images) if outcome else ()


def _timings(record: JobRecord, outcome: Outcome | None, attempts: Sequence[AttemptRow]) -> Timings:
    started = attempts[0].held_at if attempts else None
    if started is None and record.status == "started":
        started = record.started_at
    finished = outcome.finished_at if outcome else None
    if finished is None and status_of(record) in ENDED:
        finished = record.ended_at
    return Timings(
        enqueued=record.enqueued_at,
        started=started,
        finished=finished,
        queued_s=_seconds(record.enqueued_at, started),
        call_s=_call_seconds(outcome, attempts),
    )


def _call_seconds(outcome: Outcome | None, attempts: Sequence[AttemptRow]) -> float | None:
    deciding = [row for row in attempts if outcome and row.attempt_id == outcome.attempt_id] or attempts[-1:]
    return _seconds(deciding[0].sent_at, deciding[0].ended_at) if deciding else None


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return round(max((end - start).total_seconds(), 0.0), 6)


def _image(image: Image) -> dict[str, object]:
    of = image.record
    return {
        "url": image.url, "sha256": of.sha256, "bytes": of.bytes, "width": of.width, "height": of.height,
        "format": of.format, "revised_prompt": of.revised_prompt,
    }  # fmt: skip


def _attempt(row: AttemptRow) -> dict[str, object]:
    return {
        "n": row.n, "org": row.org, "model": row.model, "state": row.state, "usd": format_usd(row.usd_nano),
        "status_code": row.status_code, "error_code": row.error_code, "request_id": row.request_id,
        "sent_at": _iso(row.sent_at), "ended_at": _iso(row.ended_at),
    }  # fmt: skip


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)
