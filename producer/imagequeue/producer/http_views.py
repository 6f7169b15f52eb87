"""Reads the door's JSON back into the values that the client over Redis gives. Pure.

What the door does not tell (a call's own prompt tokens, its hold) is empty in them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from imagequeue.config.errors import ImageQueueError
from imagequeue.config.money import parse_usd
from imagequeue.ledger.api import AttemptRow, ImageRecord, JobCost, JobError, JobFacts, Outcome
from imagequeue.queue.acts import Acted
from imagequeue.queue.reading import ViewPage
from imagequeue.queue.record import parse_moment
from imagequeue.queue.views import ENDED, Image, JobView, Timings, Waiting

Json = Mapping[str, Any]


class BadAnswer(ImageQueueError):
    """The door's answer is none of the contract's: it is no door, or of another version."""


def view_of(document: object) -> JobView:
    """Return the job view in a decoded answer; BadAnswer when it is none."""
    try:
        return _view(cast("Json", document))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"the door's answer is no job view: {type(error).__name__} {error}") from error


def page_of(document: object) -> ViewPage:
    """Return the page of job views in a decoded answer."""
    if not isinstance(document, Mapping) or not isinstance(document.get("jobs"), list):
        raise BadAnswer("the door's answer is no page of jobs")
    return ViewPage(jobs=tuple(view_of(job) for job in document["jobs"]), next=document.get("next"))


def acted_of(document: object) -> Acted:
    """Return what an act did."""
    try:
        told = cast("Json", document)
        return Acted(id=told["id"], status=told["status"], changed=told["changed"], note=told["note"])
    except (KeyError, TypeError) as error:
        raise BadAnswer("the door's answer does not say what was done") from error


def _view(told: Json) -> JobView:
    job, timings = cast("Json", told["job"]), cast("Json", told["timings"])
    images = tuple(_image(image) for image in told["images"])
    error = _error(told["error"])
    finished = parse_moment(timings["finished"])
    ended = told["status"] in ENDED and finished is not None
    return JobView(
        id=told["id"],
        status=told["status"],
        waiting=_waiting(told["waiting"]),
        job=dict(job),
        outcome=_outcome(told, job, images, error, finished) if ended and finished else None,
        images=images,
        attempts=tuple(_attempt(attempt, told["id"], job, timings) for attempt in told["attempts"]),
        error=error,
        timings=Timings(
            enqueued=parse_moment(timings["enqueued"]),
            started=parse_moment(timings["started"]),
            finished=finished,
            queued_s=timings["queued_s"],
            call_s=timings["call_s"],
        ),
    )


def _image(told: Json) -> Image:
    names = ("sha256", "bytes", "width", "height", "format", "revised_prompt")
    return Image(url=told["url"], record=ImageRecord(**{name: told[name] for name in names}))


def _waiting(told: Json | None) -> Waiting | None:
    if told is None:
        return None
    return Waiting(reason=told["reason"], until=parse_moment(told["until"]), detail=told["detail"])


def _error(told: Json | None) -> JobError | None:
    if told is None:
        return None
    return JobError(code=told["code"], message=told["message"], retryable=told["retryable"])


def _outcome(told: Json, job: Json, images: Sequence[Image], error: JobError | None, finished: datetime) -> Outcome:
    cost = told["cost"]
    return Outcome(
        job_id=told["id"],
        status=told["status"],
        finished_at=finished,
        images=tuple(image.record for image in images),
        cost=cost
        and JobCost(usd_nano=parse_usd(cost["usd"]), model=cost["model"], org=cost["org"], delivery=cost["delivery"]),
        error=error,
        facts=JobFacts(
            model=job.get("model") or "",
            tenant=job.get("tenant") or "default",
            priority=job.get("priority") or "default",
            tags=job.get("tags") or {},
            intent=job.get("intent"),
        ),
    )


def _attempt(told: Json, job_id: str, job: Json, timings: Json) -> AttemptRow:
    usd_nano = parse_usd(told["usd"])
    sent = parse_moment(told["sent_at"])
    held = sent or parse_moment(timings["started"]) or parse_moment(timings["enqueued"])
    if held is None:
        raise ValueError("an attempt without a time")
    return AttemptRow(
        attempt_id=0,
        job_id=job_id,
        n=told["n"],
        org=told["org"],
        model=told["model"],
        tenant=job.get("tenant") or "default",
        priority=job.get("priority") or "default",
        delivery=job.get("delivery") or "now",
        operation=job.get("operation") or "generation",
        size=job.get("size"),
        quality=job.get("quality"),
        intent=job.get("intent"),
        tags=job.get("tags") or {},
        state=told["state"],
        upper_bound_nano=usd_nano,
        usd_nano=usd_nano,
        images=0,
        catalog_version="",
        held_at=held,
        sent_at=sent,
        ended_at=parse_moment(told["ended_at"]),
        status_code=told["status_code"],
        error_code=told["error_code"],
        error_message=None,
        request_id=told["request_id"],
        client_request_id=None,
        usage=None,
        reason=None,
    )
