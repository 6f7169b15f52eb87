"""What an answer means. Pure: no clock, no I/O. The table is the provider's documented and recorded errors.

Branches on `error.code` first, then `error.type`, then the status, as the provider's error guide asks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from imagequeue.worker.answer import Answer, NoAnswer, Result

MESSAGE_CHARACTERS_MAX = 500
WAIT_SECONDS_DEFAULT = 1.0
WAIT_SECONDS_MAX = 900.0
"""A refusal that asks for more is taken as this much; the next one will ask again."""

QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
RATE_CODES = frozenset({"rate_limit_exceeded", "slow_down"})
NOT_BILLED_STATUS = frozenset({503})
"""5xx that say the call was not taken on; any other 5xx may have been billed."""

_HINT = re.compile(r"try again in (?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|s))?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """200 with at least one image. `body` is the JSON object."""

    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Throttled:
    """Refused for its rate; nothing was billed. Call again after `wait_seconds`."""

    wait_seconds: float
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocked:
    """The organization cannot be used until a person acts: quota, billing, key."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelGone:
    """This organization does not serve this model (any more)."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """The job itself was refused, for good. `billed`: an image may have been made before it was blocked."""

    code: str
    message: str
    may_be_billed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Worth another try later.

    `may_be_billed`: the provider may have made and charged the images all the same, whether it answered (500, 502, 504,
    524) or not; the job's on_doubt rule says whether it may be called again.
    """

    code: str
    message: str
    may_be_billed: bool
    wait_seconds: float = 0.0


Verdict = Images | Throttled | Blocked | ModelGone | Rejected | Trouble


def judge(result: Result) -> Verdict:
    """Return what the call came to."""
    if isinstance(result, NoAnswer):
        return Trouble(code=result.code, message=result.message, may_be_billed=result.sent)
    error = _error(result)
    if error is None and result.status == 200:
        return _images(result)
    return _refusal(result, error or {})


def _images(answer: Answer) -> Verdict:
    body = answer.body
    data = body.get("data") if isinstance(body, Mapping) else None
    if isinstance(body, Mapping) and isinstance(data, list) and data:
        return Images(body=body)
    return Trouble(
        code="bad_answer",
        message=f"200 without images: {_short(answer.text)}",
        may_be_billed=True,
    )


def _refusal(answer: Answer, error: Mapping[str, Any]) -> Verdict:
    code, kind = _short(str(error.get("code") or "")), str(error.get("type") or "")
    message = _short(str(error.get("message") or answer.text or f"HTTP {answer.status}"))
    if code in QUOTA_CODES or kind == "insufficient_quota":
        return Blocked(code=code or kind, message=message)
    if answer.status == 429 or code in RATE_CODES:
        return Throttled(
            wait_seconds=wait_seconds(answer, message), code=code or "rate_limit_exceeded", message=message
        )
    if answer.status == 401:
        return Blocked(code=code or "invalid_api_key", message=message)
    if code == "model_not_found" or (answer.status == 403 and _unverified(code, message)):
        return ModelGone(code=code or "model_not_allowed", message=message)
    return _by_status(answer, code, message, error)


def _by_status(answer: Answer, code: str, message: str, error: Mapping[str, Any]) -> Verdict:
    status = answer.status
    if status in (408, 409):
        return Trouble(code=code or f"http_{status}", message=message, may_be_billed=False)
    if status == 403:
        return Blocked(code=code or "forbidden", message=message)
    if status >= 500:
        billed = status not in NOT_BILLED_STATUS
        wait = wait_seconds(answer, message) if "retry-after" in answer.headers else 0.0
        return Trouble(code=code or f"http_{status}", message=message, may_be_billed=billed, wait_seconds=wait)
    if 400 <= status < 500:
        details = error.get("moderation_details")
        after = isinstance(details, Mapping) and details.get("moderation_stage") == "output"
        return Rejected(code=code or f"http_{status}", message=message, may_be_billed=after)
    return Trouble(code=f"http_{status}", message=message, may_be_billed=True)


def wait_seconds(answer: Answer, message: str) -> float:
    """Return the longest wait that the answer names: retry-after-ms, retry-after (seconds or date), the text's hint."""
    waits = [
        _number(answer.headers.get("retry-after-ms")) / 1000,
        _retry_after(answer),
        _hint(message),
    ]
    wait = max(waits)
    return min(wait, WAIT_SECONDS_MAX) if wait > 0 else WAIT_SECONDS_DEFAULT


def _retry_after(answer: Answer) -> float:
    value = answer.headers.get("retry-after", "")
    if value.replace(".", "", 1).isdigit():
        return _number(value)
    try:
        return (parsedate_to_datetime(value) - answer.ended_at).total_seconds()
    except (TypeError, ValueError):
        return 0.0


def _hint(message: str) -> float:
    found = _HINT.search(message)
    if not found:
        return 0.0
    hours, minutes, amount, unit = found.groups()
    seconds = float(amount or 0) / (1000 if (unit or "").lower() == "ms" else 1)
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds


def _number(text: str | None) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value < float("inf") else 0.0


def _unverified(code: str, message: str) -> bool:
    return (
        "verified to use the model" in message
        or "does not have access to model" in message
        or code == "model_not_allowed"
    )


def _error(answer: Answer) -> Mapping[str, Any] | None:
    body = answer.body
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, Mapping):
        return error
    return {"message": error} if isinstance(error, str) else None


def _short(text: str) -> str:
    """One line that can be printed and stored: an answer may be anything, and PostgreSQL takes no NUL."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= MESSAGE_CHARACTERS_MAX else line[: MESSAGE_CHARACTERS_MAX - 1] + "…"


Outcome = Literal["void", "doubt"]


def ledger_state(verdict: Verdict) -> Outcome:
    """Return how an attempt without images is booked: `void` only when it is certain that nothing was billed."""
    if isinstance(verdict, Trouble | Rejected) and verdict.may_be_billed:
        return "doubt"
    return "void"
