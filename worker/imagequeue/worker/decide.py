"""Whether and when a job runs again. Pure: no clock, no I/O; chance comes in as a number."""

from dataclasses import dataclass

from imagequeue.config.job import Job
from imagequeue.worker.inputs import BadInput
from imagequeue.worker.verdict import Blocked, Images, ModelGone, Rejected, Throttled, Trouble, Verdict

BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
BACKOFF_SECONDS_MAX = 60.0
JITTER = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Succeed:
    """Store the images and settle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackInLine:
    """To its place in line by age, no attempt burnt. The pool waits `pause_seconds`, or is suspended until resumed."""

    reason: str
    pause_seconds: float = 0.0
    suspend: bool = False
    model_gone: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAgain:
    """After a delay; this attempt counted."""

    delay_seconds: float
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Park:
    """Until a person decides: it is not known whether the images were made and billed."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GiveUp:
    """The job has failed. `retryable`: the same job may succeed when it is enqueued again."""

    code: str
    message: str
    retryable: bool


Decision = Succeed | BackInLine | RunAgain | Park | GiveUp


def backoff_seconds(tries: int, chance: float) -> float:
    """Return the wait before the next attempt after `tries` that failed: 1, 2, 4, 8, 15, 30, 60 s, each ±25 %.

    `chance` is uniform in [0, 1).
    """
    base = BACKOFF_SECONDS[min(max(tries, 1), len(BACKOFF_SECONDS)) - 1]
    return min(base * (1 - JITTER + 2 * JITTER * chance), BACKOFF_SECONDS_MAX)


def decide(verdict: Verdict, job: Job, *, tries: int, chance: float) -> Decision:
    """Return what becomes of the job. `tries` counts its attempts that failed, this one included."""
    match verdict:
        case Images():
            return Succeed()
        case Throttled():
            return BackInLine(reason=f"{verdict.code}: {verdict.message}", pause_seconds=verdict.wait_seconds)
        case Blocked():
            return BackInLine(reason=f"{verdict.code}: {verdict.message}", suspend=True)
        case ModelGone():
            return BackInLine(reason=f"{verdict.code}: {verdict.message}", model_gone=True)
        case Rejected():
            return GiveUp(code=verdict.code, message=verdict.message, retryable=False)
        case Trouble():
            return _again(verdict, job, tries, chance)


def without_input(problem: BadInput, job: Job, *, tries: int, chance: float) -> RunAgain | GiveUp:
    """Return what becomes of a job whose input images cannot be had; nothing was called."""
    if problem.temporary and tries < job.max_attempts:
        return RunAgain(delay_seconds=backoff_seconds(tries, chance), reason=f"{problem.code}: {problem}")
    return GiveUp(code=problem.code, message=str(problem), retryable=problem.temporary)


def _again(trouble: Trouble, job: Job, tries: int, chance: float) -> Decision:
    reason = f"{trouble.code}: {trouble.message}"
    if trouble.may_be_billed and job.on_doubt == "hold":
        return Park(reason=reason)
    if tries >= job.max_attempts:
        return GiveUp(
            code=trouble.code, message=f"{trouble.message} (attempt {tries} of {job.max_attempts})", retryable=True
        )
    return RunAgain(delay_seconds=max(backoff_seconds(tries, chance), trouble.wait_seconds), reason=reason)
