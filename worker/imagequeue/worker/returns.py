"""Where a job goes when it is done with: each effect atomic in the queue, and for the holder of the claim only."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from imagequeue.config.admission import tokens_of
from imagequeue.config.catalog import Catalog, Model, Usage, adapt_job
from imagequeue.config.catalog.delivery import BATCH_WINDOW
from imagequeue.config.clock import Clock, iso, iso_of_seconds
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job, encode_data, queue_name
from imagequeue.config.money import format_usd
from imagequeue.config.settings import Settings
from imagequeue.ledger.api import CapReached, FailureStatus, JobFailure, Outcome
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue import budget, pools, tenants
from imagequeue.queue.ceilings import Pool, unit_us
from imagequeue.queue.claims import PARKED, Claim, Claims, Ending
from imagequeue.queue.flights import flight_of
from imagequeue.queue.scripts import Argument, Scripts
from imagequeue.queue.ways import ways_out
from imagequeue.worker import book
from imagequeue.worker.capping import cap_detail
from imagequeue.worker.crashpoint import crashpoint
from imagequeue.worker.decide import GiveUp
from imagequeue.worker.health import Health
from imagequeue.worker.left import doubt_left
from imagequeue.worker.persistence import until_done
from imagequeue.worker.telling import Telling

CAP_RECHECK_SECONDS_MAX = 60.0
"""A cap may be raised at any time; jobs that wait for one are tried again at least this often."""


class Returns:
    """Ends claims."""

    def __init__(
        self,
        *,
        scripts: Scripts,
        ledger: Ledger,
        catalog: Catalog,
        settings: Settings,
        health: Health,
        clock: Clock,
        is_served: Callable[[str], bool],
        telling: Telling,
    ) -> None:
        self._scripts = scripts
        self._ledger = ledger
        self._catalog = catalog
        self._settings = settings
        self._health = health
        self._clock = clock
        self._is_served = is_served
        self._telling = telling

    # -- ends ---------------------------------------------------------------------------------------------------------

    async def finish(
        self,
        claims: Claims,
        claim: Claim,
        job: Job,
        model: Model,
        pool: Pool,
        value: Mapping[str, Any],
        worked_seconds: float,
        usage: Usage | None,
        stored: str,
    ) -> None:
        """The job succeeded; the token pace is corrected by what the answer really used, the cache keeps `stored`."""
        used = 0 if usage is None else usage.total - book.call_tokens(job, model, pool, self._catalog)
        tokens_us, sent_tokens_us = (
            used * unit_us(pool.limits.tokens_per_minute, fraction) for fraction in (self._settings.pace_fraction, 1.0)
        )
        await self._settle(
            claims,
            claim,
            Ending(
                status="finished",
                ttl_seconds=self._settings.result_ttl_seconds,
                value=value,
                worked_seconds=worked_seconds,
                pool=pool.name if tokens_us else "",
                tokens_us=tokens_us,
                sent_tokens_us=sent_tokens_us,
                stored=stored,
                stored_seconds=self._settings.cache_ttl_seconds,
                source="made",
            ),
        )

    async def fail(self, claims: Claims, claim: Claim, failure: GiveUp) -> None:
        """The job failed; the ledger has it already."""
        await self._settle(claims, claim, self._failed(failure.code, failure.message, retryable=failure.retryable))

    async def fail_unread(self, claims: Claims, claim: Claim, problem: str) -> None:
        """What stands in the job hash is no job: to the failed registry, with the reason."""
        await self._settle(claims, claim, self._failed("job_refused", problem, retryable=False))

    async def fail_uncalled(self, claims: Claims, claim: Claim, job: Job, failure: GiveUp) -> None:
        """The job failed before any call of this delivery; an earlier one may have ended it, which then stands."""
        problem = JobFailure(code=failure.code, message=failure.message, retryable=failure.retryable)
        told = await self._telling.failure(claim.id, job, problem)
        facts = book.job_facts(job, claim, self._catalog)
        if await until_done(self._health, "ledger", lambda: self._ledger.record_outcome(claim.id, told, facts)):
            await self.fail(claims, claim, failure)
            return
        ended = await until_done(self._health, "ledger", lambda: self._ledger.outcomes([claim.id]))
        await self.ended_before(claims, claim, ended[claim.id])

    async def ended_before(self, claims: Claims, claim: Claim, outcome: Outcome) -> None:
        """The ledger knows how this job ended; the queue is told again, without a call."""
        ttl = self._settings.result_ttl_seconds
        if outcome.status == "succeeded":
            cost = outcome.cost.usd_nano if outcome.cost else 0
            value = book.result_value("succeeded", outcome.images, format_usd(cost))
            stored = book.stored_result(claim, outcome.cost, outcome.images) if outcome.cost else ""
            ending = Ending(
                status="finished",
                ttl_seconds=ttl,
                value=value,
                stored="" if outcome.cached else stored,
                stored_seconds=self._settings.cache_ttl_seconds,
                source="cached" if outcome.cached else "made",
            )
            await self._settle(claims, claim, ending)
        elif outcome.status == "cancelled":
            await self._settle(claims, claim, Ending(status="canceled", ttl_seconds=ttl))
        else:
            error = outcome.error
            code, message = (error.code, error.message) if error else (outcome.status, outcome.status)
            await self._settle(claims, claim, self._failed(code, message, retryable=bool(error and error.retryable)))

    async def not_run(self, claims: Claims, claim: Claim, job: Job) -> None:
        """End or move a job that must not be called: expired, cancelled, unserved, malformed or poison."""
        match claim.kind:
            case "expired":
                deadline = iso(job.deadline) if job.deadline else "its deadline"
                await self._end_uncalled(
                    claims, claim, job, "expired", f"not started before {deadline}", status="expired"
                )
            case "cancelled":
                await self._end_uncalled(claims, claim, job, "cancelled", "cancelled", status="cancelled")
            case "unserved":
                await self._unserved(claims, claim, job)
            case "poison":
                message = "too many workers died while they worked on it"
                await self._end_uncalled(claims, claim, job, "poison", message)
            case _:
                await self._end_uncalled(
                    claims, claim, job, "malformed", "the job hash was changed while it was queued"
                )

    async def _end_uncalled(
        self, claims: Claims, claim: Claim, job: Job, code: str, message: str, *, status: FailureStatus = "failed"
    ) -> None:
        failure = JobFailure(code=code, message=message, retryable=status == "expired", status=status)
        told = await self._telling.failure(claim.id, job, failure)
        facts = book.job_facts(job, claim, self._catalog)
        await until_done(self._health, "ledger", lambda: doubt_left(self._ledger, claim, self._clock.now()))
        await until_done(self._health, "ledger", lambda: self._ledger.record_outcome(claim.id, told, facts))
        if status == "cancelled":
            await self._settle(claims, claim, Ending(status="canceled", ttl_seconds=self._settings.result_ttl_seconds))
        else:
            await self._settle(claims, claim, self._failed(code, message, retryable=status == "expired"))

    async def _unserved(self, claims: Claims, claim: Claim, job: Job) -> None:
        """No organization serves the job's model: move it where the job allows, else fail naming the successor."""
        model = claim.queue.rpartition(".")[0]
        for name in job.overflow:
            if self._is_served(name):
                try:
                    await self._move(claims, claim, adapt_job(job, self._catalog.model(name)))
                except JobRefused:
                    continue
                return
        known = self._catalog.models.get(model)
        successor = known.lifecycle.successor if known else None
        hint = f"; its successor is {successor}" if successor else ""
        message = f"no configured organization serves {model}{hint}"
        await self._end_uncalled(claims, claim, job, "model_not_served", message)

    async def _move(self, claims: Claims, claim: Claim, job: Job) -> None:
        model = self._catalog.model(str(job.model))
        tokens = tokens_of(job, self._catalog)
        queue = queue_name(model.name, claim.queue.rpartition(".")[2])
        overflow = ways_out(job, self._catalog)
        fields: dict[str, Argument] = {"data": encode_data(job), "iq_tokens": tokens, "iq_overflow": overflow}
        asked = job.model_copy(update={"cache": job.cache or self._settings.cache})
        flight = flight_of(asked, self._catalog, self._settings.cache_scope)
        if flight is not None:
            fields["iq_form"] = flight.form
        await self._requeue(claims, claim, queue=queue, fields=fields)

    # -- returns ------------------------------------------------------------------------------------------------------

    async def capped(self, claims: Claims, claim: Claim, job: Job, pool: Pool, cap: CapReached) -> None:
        """The cost does not fit under a cap: the job waits, with all that share the cap, or fails if it is its own."""
        detail = cap_detail(cap, pool.org)
        if cap.kind == "job":
            await self._end_uncalled(claims, claim, job, "max_cost_exceeded", detail)
            return
        until = None if cap.until is None else cap.until.timestamp()
        recheck_seconds = CAP_RECHECK_SECONDS_MAX
        if until is not None:
            recheck_seconds = min(max(until - self._clock.now().timestamp(), 0.001), recheck_seconds)
        if cap.kind.startswith("tenant"):
            recheck_at = self._clock.now().timestamp() + recheck_seconds
            held = tenants.TenantHold(
                tenant=job.tenant, reason="budget", detail=detail, until=until, recheck_at=recheck_at
            )
            await self._persist(lambda: tenants.hold(self._scripts, held))
        else:
            reason = budget.worded(budget.Short(detail=detail, until=cap.until))
            await self._persist(
                lambda: pools.suspend(self._scripts, pool.name, reason=reason, for_us=int(recheck_seconds * 1_000_000))
            )
        await self._requeue(claims, claim)

    async def back(self, claims: Claims, claim: Claim, *, reason: str, delay_seconds: float = 0.0) -> None:
        """To its place in line, no attempt burnt."""
        await self._requeue(claims, claim, delay_seconds=delay_seconds, reason=reason)

    async def back_for_good(self, claims: Claims, claim: Claim, *, reason: str) -> None:
        """To its place in line, where it waits for its first choice, whatever that takes: no overflow any more."""
        await self._requeue(claims, claim, reason=reason, fields={"iq_overflow": ""})

    async def again(self, claims: Claims, claim: Claim, *, reason: str, delay_seconds: float) -> None:
        """To its line after a delay; the attempt counted."""
        await self._requeue(claims, claim, delay_seconds=delay_seconds, reason=reason, counts=True)

    async def park(self, claims: Claims, claim: Claim, *, reason: str) -> None:
        """Until a person decides."""
        why = {"reason": "doubt", "until": None, "detail": reason}
        await self._requeue(claims, claim, delay_us=PARKED, why=why, counts=True)

    async def to_batch(self, claims: Claims, claim: Claim) -> None:
        """Its attempt waits for a batch; whoever books the batch lets the job go on."""
        seconds = self._settings.batch_gather_seconds + BATCH_WINDOW.total_seconds()
        until = iso_of_seconds(self._clock.now().timestamp() + seconds)
        why = {"reason": "batch", "until": until, "detail": "goes with a batch, at a lower price and within a day"}
        await self._requeue(claims, claim, delay_us=PARKED, why=why)

    async def stopped(self, claims: Claims, claim: Claim, job: Job) -> None:
        """The worker ends with the call unanswered: the job's on_doubt rule says whether it may be sent again."""
        if job.on_doubt == "hold":
            await self.park(claims, claim, reason="the worker stopped before the answer came")
        else:
            await self._requeue(claims, claim)

    # -- how ----------------------------------------------------------------------------------------------------------

    async def _requeue(
        self,
        claims: Claims,
        claim: Claim,
        *,
        delay_seconds: float = 0.0,
        delay_us: int | None = None,
        reason: str = "",
        why: Mapping[str, Any] | None = None,
        counts: bool = False,
        queue: str = "",
        fields: Mapping[str, Argument] | None = None,
    ) -> None:
        delay = int(delay_seconds * 1_000_000) if delay_us is None else delay_us
        if delay > 0 and why is None:
            until = iso_of_seconds(self._clock.now().timestamp() + delay_seconds)
            why = {"reason": "backoff", "until": until, "detail": reason}
        crashpoint("requeue.before")
        await self._persist(
            lambda: claims.requeue(
                claim,
                delay_us=delay,
                why=why,
                counts=counts,
                queue=queue,
                fields=fields,
            )
        )
        crashpoint("requeue.after")

    async def _settle(self, claims: Claims, claim: Claim, ending: Ending) -> None:
        crashpoint("finish.before")
        await self._persist(lambda: claims.settle(claim, ending))
        crashpoint("finish.after")

    async def _persist(self, step: Callable[[], Awaitable[object]]) -> None:
        await until_done(self._health, "queue", step)

    def _failed(self, code: str, message: str, *, retryable: bool) -> Ending:
        error = {"code": code, "message": message, "retryable": retryable}
        return Ending(status="failed", ttl_seconds=self._settings.result_ttl_seconds, error=error)
