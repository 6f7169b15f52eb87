"""A job that has ended, as the image API would answer: images and usage, or its error with its status. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from imagequeue.config.catalog import Model
from imagequeue.ledger.api import AttemptRow
from imagequeue.producer.door.problems import INVALID, NO_RETRY, SERVER, Problem
from imagequeue.queue.views import JobView

USER_ERROR: Final = "image_generation_user_error"
STATUS_OF_CODE: Final[Mapping[str, tuple[int, str]]] = {
    "moderation_blocked": (400, USER_ERROR),
    "invalid_image_file": (400, USER_ERROR),
    "content_policy_violation": (400, INVALID),
    "job_refused": (400, INVALID),
    "max_cost": (400, INVALID),
    "model_not_found": (404, INVALID),
    "model_not_allowed": (403, INVALID),
    "expired": (408, INVALID),
    "cancelled": (409, INVALID),
}
"""What the provider answers for these codes (its error guide), and what fits the ends that only a queue knows."""
QUALITIES: Final = frozenset({"low", "medium", "high", "xhigh", "max"})
BACKGROUNDS: Final = frozenset({"transparent", "opaque"})
USAGE_FIELDS: Final = ("input_tokens", "input_tokens_details", "output_tokens", "total_tokens")


def success(view: JobView, model: Model, data: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return the answer of a succeeded job. What models with links never said is left out for them."""
    finished = view.timings.finished
    answer: dict[str, object] = {"created": 0 if finished is None else int(finished.timestamp()), "data": list(data)}
    if model.accepts.response_format:
        return answer
    usage = _usage(view)
    return {**answer, **_made(view), **({"usage": usage} if usage else {})}


def failure(view: JobView) -> Problem:
    """Return the answer of a job that ended without images. The queue has tried again as often as it may."""
    code, message = ("cancelled", "the job was cancelled")
    if view.status != "cancelled":
        error = view.error
        code, message = (error.code, error.message) if error else (view.status, f"the job is {view.status}")
    status, kind = STATUS_OF_CODE.get(code) or _by_last_attempt(view.attempts, code)
    return Problem(status, message, code=code, kind=kind, headers=NO_RETRY)


def _by_last_attempt(attempts: Sequence[AttemptRow], code: str) -> tuple[int, str]:
    """The provider's status, unless it was about the organization's own key, which is none of the client's business."""
    said = attempts[-1].status_code if attempts else None
    if said is None and code.startswith("http_") and code[5:].isdecimal():
        said = int(code[5:])
    if said is None or said in (401, 407) or not 400 <= said <= 599:
        return 500, SERVER
    if said == 429:
        return 429, "requests"
    return said, INVALID if said < 500 else SERVER


def _made(view: JobView) -> dict[str, object]:
    made: dict[str, object] = {}
    if view.images:
        first = view.images[0].record
        made |= {"size": f"{first.width}x{first.height}", "output_format": first.format}
    quality, background = view.job.get("quality"), view.job.get("background")
    if quality in QUALITIES:
        made["quality"] = quality
    if background in BACKGROUNDS:
        made["background"] = background
    return made


def _usage(view: JobView) -> Mapping[str, object] | None:
    """The provider's own count, when it sent a whole one."""
    deciding = [row.usage for row in view.attempts if view.outcome and row.attempt_id == view.outcome.attempt_id]
    usage = deciding[0] if deciding else None
    return usage if usage is not None and all(name in usage for name in USAGE_FIELDS) else None
