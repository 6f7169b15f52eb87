"""What a webhook says of a job that ended: the job view, small enough for the standard, and where it goes. Pure."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from imagequeue.config.clock import iso
from imagequeue.config.job import Job
from imagequeue.config.webhooks import Event, Webhook, targets
from imagequeue.ledger.api import AttemptRow, ImageRecord, Outcome, OutcomeStatus, WebhookDue
from imagequeue.queue.views import JobView, view_of_ledger

PAYLOAD_BYTES_MAX: Final = 20_000
"""Standard Webhooks 1.0 asks for payloads below 20 kB."""
ATTEMPTS_SHOWN_MAX: Final = 10
MESSAGE_CHARACTERS_MAX: Final = 500
PROMPT: Final = "prompt"

EVENT_OF: Final[Mapping[OutcomeStatus, Event]] = {
    "succeeded": "job.succeeded",
    "failed": "job.failed",
    "cancelled": "job.cancelled",
    "expired": "job.expired",
}

Data = dict[str, object]


def wanted(job: Job, status: OutcomeStatus, endpoints: Sequence[Webhook]) -> bool:
    """Return whether anybody is to be told that a job ended so."""
    return bool(endpoints) and bool(targets(job, EVENT_OF[status], endpoints))


def notices(
    job: Job,
    outcome: Outcome,
    attempts: Sequence[AttemptRow],
    endpoints: Sequence[Webhook],
    *,
    base_url: str | None,
    enqueued_at: datetime | None = None,
) -> tuple[WebhookDue, ...]:
    """Return the messages about a job's end. `base_url` None: images are named by their path at the door."""
    event = EVENT_OF[outcome.status]
    found = targets(job, event, endpoints)
    if not found:
        return ()
    view = _since(view_of_ledger(outcome.job_id, outcome, attempts, link=_linked(base_url)), enqueued_at)
    return tuple(
        WebhookDue(url=url, event=event, payload=payload(event, outcome.finished_at, view, job, prompt=endpoint.prompt))
        for url, endpoint in found.items()
    )


def payload(event: str, at: datetime, view: JobView, job: Job, *, prompt: bool) -> str:
    """Return the body of a message: `type`, `timestamp` and `data`, at most PAYLOAD_BYTES_MAX bytes of JSON.

    What does not fit is left out, the longest and least needed first; `data.left_out` names it.
    """
    asked = {**job.model_dump(mode="json", exclude=None if prompt else {PROMPT}), "cache": job.cache or "off"}
    data: Data = {**view.as_json(), "job": {**asked, **{key: view.job[key] for key in ("model",) if view.job.get(key)}}}
    left_out: list[str] = []
    text = _text(event, at, data)
    for name, shorten in SHORTENINGS:
        if len(text) <= PAYLOAD_BYTES_MAX:
            break
        if shorten(data):
            left_out.append(name)
            text = _text(event, at, {**data, "left_out": left_out})
    return text


def _since(view: JobView, enqueued_at: datetime | None) -> JobView:
    """The view with the time that its job spent in the queue."""
    if enqueued_at is None:
        return view
    started = view.timings.started
    queued_s = None if started is None else round(max((started - enqueued_at).total_seconds(), 0.0), 6)
    return replace(view, timings=replace(view.timings, enqueued=enqueued_at, queued_s=queued_s))


def _text(event: str, at: datetime, data: Data) -> str:
    """ASCII, so that what a provider said cannot make it text that a database refuses."""
    return json.dumps({"type": event, "timestamp": iso(at), "data": data}, separators=(",", ":"))


def _linked(base_url: str | None) -> Callable[[ImageRecord], str]:
    base = (base_url or "").rstrip("/")
    return lambda image: f"{base}/v1/images/{image.sha256}"


def _without(of: str, name: str) -> Callable[[Data], bool]:
    """Return what takes `name` out of the object or the objects at `of`."""

    def shorten(data: Data) -> bool:
        value = data.get(of)
        objects = value if isinstance(value, list) else [value]
        found = [one for one in objects if isinstance(one, dict) and one.get(name)]
        for one in found:
            one[name] = None
        return bool(found)

    return shorten


def _last_attempts(data: Data) -> bool:
    attempts = data.get("attempts")
    if not isinstance(attempts, list) or len(attempts) <= ATTEMPTS_SHOWN_MAX:
        return False
    data["attempts"] = attempts[-ATTEMPTS_SHOWN_MAX:]
    return True


def _no_attempts(data: Data) -> bool:
    had = bool(data.get("attempts"))
    data["attempts"] = []
    return had


def _short_error(data: Data) -> bool:
    error = data.get("error")
    if not isinstance(error, dict) or len(str(error.get("message"))) <= MESSAGE_CHARACTERS_MAX:
        return False
    data["error"] = {**error, "message": str(error["message"])[:MESSAGE_CHARACTERS_MAX]}
    return True


SHORTENINGS: Final[tuple[tuple[str, Callable[[Data], bool]], ...]] = (
    ("job.prompt", _without("job", PROMPT)),
    ("images.revised_prompt", _without("images", "revised_prompt")),
    ("attempts", _last_attempts),
    ("job.metadata", _without("job", "metadata")),
    ("job.images", _without("job", "images")),
    ("job.mask", _without("job", "mask")),
    ("job.tags", _without("job", "tags")),
    ("error.message", _short_error),
    ("attempts", _no_attempts),
)
