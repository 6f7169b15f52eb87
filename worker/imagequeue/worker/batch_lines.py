"""The lines of a batch: how a job becomes one, and what an answered one says. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic_core import from_json

from imagequeue.config.catalog import Model
from imagequeue.config.job import Job
from imagequeue.config.orgs import Org
from imagequeue.worker.answer import Answer
from imagequeue.worker.request import build_request
from imagequeue.worker.verdict import Trouble

ENDPOINTS: Final = {"generation": "/v1/images/generations"}
LINES_MAX: Final = 50_000
BYTES_MAX: Final = 200_000_000
CLOCKS_APART_MAX: Final = timedelta(days=2)
ATTEMPT_ID_MAX: Final = 2**63 - 1
"""What the ledger's databases can hold, and be asked for."""
ATTEMPT_ID_DIGITS_MAX: Final = 19


@dataclass(frozen=True, kw_only=True, slots=True)
class LineAnswer:
    """What a line of an output or error file says of one attempt: an answer, or why there is none."""

    attempt_id: int
    said: Answer | Trouble
    request_id: str | None


def line_of(job: Job, model: Model, org: Org, attempt_id: int) -> bytes:
    """Return the line that asks for a job's images."""
    request = build_request(job, model, org, client_request_id=str(attempt_id))
    line = {
        "custom_id": str(attempt_id),
        "method": "POST",
        "url": ENDPOINTS[job.operation],
        "body": dict(request.fields),
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def read_line(line: bytes, *, sent_at: datetime, now: datetime) -> LineAnswer | None:
    """Return what a line says; None when it is not the answer of an attempt."""
    try:
        value = from_json(line, allow_inf_nan=False)
    except ValueError:
        return None
    attempt_id = _attempt_id(value.get("custom_id")) if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or attempt_id is None:
        return None
    response = value.get("response")
    if isinstance(response, Mapping):
        said = _answer(response, sent_at=sent_at, now=now)
        return LineAnswer(attempt_id=attempt_id, said=said, request_id=_text(response.get("request_id")))
    return LineAnswer(attempt_id=attempt_id, said=_left_out(value.get("error")), request_id=None)


def _attempt_id(custom_id: object) -> int | None:
    """Return the attempt that a line names; None for a name that we cannot have given."""
    if not (isinstance(custom_id, str) and custom_id.isascii() and custom_id.isdecimal()):
        return None
    if len(custom_id) > ATTEMPT_ID_DIGITS_MAX:
        return None
    attempt_id = int(custom_id)
    return attempt_id if attempt_id <= ATTEMPT_ID_MAX else None


def _answer(response: Mapping[str, Any], *, sent_at: datetime, now: datetime) -> Answer:
    body, status = response.get("body"), response.get("status_code")
    return Answer(
        status=status if isinstance(status, int) else 0,
        headers={},
        body=body,
        text="" if isinstance(body, Mapping) else str(body)[:300],
        sent_at=sent_at,
        ended_at=_made_at(body, sent_at=sent_at, now=now),
    )


def _made_at(body: object, *, sent_at: datetime, now: datetime) -> datetime:
    """Return when the images were made, which is the day of their bill; now when the answer does not say it."""
    created = body.get("created") if isinstance(body, Mapping) else None
    if not isinstance(created, int) or not 0 < created < 10**11:
        return now
    made_at = datetime.fromtimestamp(created, UTC)
    return max(made_at, sent_at) if abs(made_at - now) < CLOCKS_APART_MAX else now


def _left_out(error: object) -> Trouble:
    """A line that was not run: certainly not billed."""
    of = error if isinstance(error, Mapping) else {}
    return Trouble(
        code=str(of.get("code") or "batch_line_failed"),
        message=str(of.get("message") or "the batch ended without it"),
        may_be_billed=False,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
