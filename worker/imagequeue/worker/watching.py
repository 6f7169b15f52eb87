"""What is measured, logged and traced of a job's life in a worker. It changes nothing of the life itself."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from imagequeue.config.job import Job
from imagequeue.config.tracing import Span, Spans, carried_by
from imagequeue.queue.claims import Claim
from imagequeue.queue.measures import ATTEMPTS, CALLS, CLAIMS, HOLDS, STORES, Measure
from imagequeue.queue.record import parse_moment
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text
from imagequeue.worker.answer import Answer, Result
from imagequeue.worker.meter import Meter
from imagequeue.worker.verdict import Blocked, Images, ModelGone, Rejected, Throttled, Trouble, Verdict

STEPS: Final[dict[str, Measure]] = {"hold": HOLDS, "store": STORES}
OUTCOMES: Final[dict[type[Verdict], str]] = {
    Images: "images",
    Throttled: "throttled",
    Blocked: "blocked",
    ModelGone: "model_gone",
    Rejected: "rejected",
    Trouble: "trouble",
}
US_PER_SECOND: Final = 1_000_000

log = structlog.get_logger("imagequeue.worker")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """Whose call it is: the `n`-th attempt of a job, under the name that the provider's records have for it."""

    job_id: str
    n: int
    org: str
    pool: str
    model: str
    client_request_id: str


class Watch:
    """One worker's. Log lines that are written within a life carry the job's id."""

    def __init__(self, meter: Meter, spans: Spans, scripts: Scripts) -> None:
        self._meter = meter
        self._spans = spans
        self._scripts = scripts
        self._claim_us = (0, 0)

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """One claim, for any number of jobs."""
        began, clock = time.time(), time.perf_counter()
        yield
        seconds = time.perf_counter() - clock
        self._meter.observe(CLAIMS, seconds)
        self._claim_us = (int(began * US_PER_SECOND), int((began + seconds) * US_PER_SECOND))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step of a life: hold, store or settle."""
        clock = time.perf_counter()
        with self._spans.span(name):
            yield
        measure = STEPS.get(name)
        if measure is not None:
            self._meter.observe(measure, time.perf_counter() - clock)

    @contextmanager
    def life(self, claim: Claim) -> Iterator[None]:
        """All that happens in a worker to a job that was claimed."""
        structlog.contextvars.bind_contextvars(job=claim.id)
        try:
            yield
        finally:
            structlog.contextvars.unbind_contextvars("job")

    @contextmanager
    def traced(self, claim: Claim, job: Job) -> Iterator[None]:
        """Go on with the job's trace, where there is tracing."""
        if not self._spans.on:
            yield
            return
        claimed = self._claim_us
        with self._spans.span(
            "job", kind="consumer", parent=carried_by(job.metadata), job=claim.id, queue=claim.queue,
            delivery=claim.delivery, pool=claim.pool,
        ):  # fmt: skip
            self._spans.past("claim", *claimed)
            yield

    async def waited(self, claim: Claim) -> None:
        """Record how long the job was queued, where there is tracing."""
        if not self._spans.on:
            return
        (stored,) = await self._scripts.redis.hmget(self._scripts.keys.job(claim.id), ("enqueued_at",))
        enqueued = parse_moment(text(stored or b""))
        if enqueued is not None:
            self._spans.past("queue wait", int(enqueued.timestamp() * US_PER_SECOND), self._claim_us[0])

    def calling(self, attempt: Attempt) -> AbstractContextManager[Span]:
        """The call itself; `answered` says what it came to."""
        return self._spans.span("call", kind="client", model=attempt.model, org=attempt.org, attempt=attempt.n)

    def answered(self, attempt: Attempt, span: Span, result: Result, verdict: Verdict) -> None:
        """Count what a call came to, and write one line that joins our ids with the provider's."""
        outcome = OUTCOMES[type(verdict)]
        seconds = (result.ended_at - result.sent_at).total_seconds()
        self._meter.observe(CALLS, seconds, attempt.pool, outcome)
        self._meter.count(ATTEMPTS, attempt.pool, attempt.model, outcome)
        answer = result if isinstance(result, Answer) else None
        code = getattr(verdict, "code", None)
        if outcome != "images":
            span.failed(code or outcome)
        span.note("http.response.status_code", answer.status if answer else None)
        span.note("provider.request_id", answer.request_id if answer else None)
        span.note("provider.client_request_id", attempt.client_request_id)
        log.info(
            "attempt",
            job=attempt.job_id,
            attempt=attempt.n,
            org=attempt.org,
            model=attempt.model,
            outcome=outcome,
            code=code,
            status=answer.status if answer else None,
            request_id=answer.request_id if answer else None,
            client_request_id=attempt.client_request_id,
            ms=round(seconds * 1000),
        )
