"""The life of one claimed job: hold its cost, call, make its images durable, book it, and only then tell the queue.

    claimed ─── not to be run (expired, cancelled, unserved, malformed, poison) ──► ended or moved, no call
       ▼
    input images in hand ─── not to be had ──► runs again later, or failed, no call
       ▼
    hold in the ledger ─── ended before: acknowledge ─── cap reached: wait ─── ledger away: back in line
       ▼ committed
    call ─┬─ refused (429, quota, 401, 404) ──► attempt voided; back in line, and the pool waits
       │  ├─ trouble ────────────────────────► voided or in doubt; runs again later, parks, or fails
       │  └─ rejected ───────────────────────► voided; failed with the provider's code
       ▼ images
    durable in the store
       ▼
    attempt settled with the job's outcome, in one transaction
       ▼
    claim settled in Redis

Whatever ends the process between two steps, the claim runs out and another worker takes the job up; the ledger then
says whether it ended before, and whether a call of it was left unanswered.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from imagequeue.config.catalog.delivery import Delivered, delivered_as
from imagequeue.config.errors import JobRefused, LedgerUnavailable, Unavailable
from imagequeue.config.job import Job
from imagequeue.ledger.api import AlreadyDone, CapReached, Held, HoldResult, Outcome, Overtaken
from imagequeue.queue.claims import Claim, Claims
from imagequeue.queue.payload import decode
from imagequeue.worker import book
from imagequeue.worker.answer import Answer
from imagequeue.worker.call import Files
from imagequeue.worker.crashpoint import crashpoint
from imagequeue.worker.decide import GiveUp, RunAgain, without_input
from imagequeue.worker.inputs import BadInput
from imagequeue.worker.landing import Landing
from imagequeue.worker.own_fault import broke_off
from imagequeue.worker.persistence import until_done
from imagequeue.worker.request import build_request
from imagequeue.worker.uncharging import uncharge
from imagequeue.worker.verdict import judge
from imagequeue.worker.work import FirstChoice, Parts, Work, attempt_of, request_name

AWAY_SECONDS = 1.0
NO_BATCHES = GiveUp(code="batch_not_offered", message="this organization's server offers no batches", retryable=False)


class JobLife:
    """Lives the lives of claimed jobs, any number at once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._landing = Landing(parts, self._hold_and_call)
        self._heard: set[asyncio.Future[None]] = set()

    async def run(self, claims: Claims, claim: Claim) -> None:
        """Take one claim to where it goes. Cancelled (the drain is over), it gives the job back before it ends."""
        with self._parts.watch.life(claim):
            await self._read(claims, claim)

    async def _read(self, claims: Claims, claim: Claim) -> None:
        try:
            job = decode(claim.data)
        except JobRefused as problem:
            await self._parts.returns.fail_unread(claims, claim, str(problem))
            return
        with self._parts.watch.traced(claim, job):
            await self._parts.watch.waited(claim)
            await self._live(claims, claim, job)

    async def _live(self, claims: Claims, claim: Claim, job: Job) -> None:
        if claim.kind == "cached":
            await self._parts.answers.deliver(claims, claim, job)
            return
        if claim.kind != "run":
            await self._parts.returns.not_run(claims, claim, job)
            return
        work = self._work(claims, claim, job)
        if work is None:
            await self._parts.returns.back(claims, claim, reason="its pool is not served by this worker any more")
        elif not job.images:
            await self._hold_and_call(work)
        else:
            await self._with_inputs(work)

    async def broke_off(self, claims: Claims, claim: Claim) -> None:
        """Give a job back that a fault of ours broke off, or end it."""
        await broke_off(self._parts, claims, claim)

    def _work(self, claims: Claims, claim: Claim, job: Job) -> Work | None:
        pool = self._parts.pools().get(claim.pool)
        name = claim.queue.rpartition(".")[0]
        if pool is None:
            return None
        model, asked = self._parts.catalog.model(name), job.model_copy(update={"model": name})
        if name in pool.models:
            return Work(claims=claims, claim=claim, job=asked, model=model, pool=pool, tries=claim.tries)
        other = self._parts.overflow.claimed_for(asked, pool)
        if other is None:
            return None
        first = FirstChoice(job=asked, model=model)
        return Work(
            claims=claims,
            claim=claim,
            job=other.job,
            model=other.model,
            pool=pool,
            tries=claim.tries,
            first_choice=first,
        )

    async def _with_inputs(self, work: Work) -> None:
        """Take the job's input images in hand, before anything is held, and keep them until its call is over."""
        async with AsyncExitStack() as in_hand:
            files = await self._inputs(work, in_hand)
            if files is not None:
                await self._hold_and_call(replace(work, files=files))

    async def _inputs(self, work: Work, in_hand: AsyncExitStack) -> Files | None:
        """The call's files; None when there are none to be had and the job has gone where that leads."""
        parts, returns = self._parts, self._parts.returns
        try:
            return await in_hand.enter_async_context(parts.inputs.of(work.job, work.model))
        except BadInput as problem:
            chance = random.random()  # noqa: S311 - jitter, not a secret
            match without_input(problem, work.job, tries=work.tries + 1, chance=chance):
                case RunAgain(delay_seconds=delay, reason=reason):
                    await returns.again(work.claims, work.claim, reason=reason, delay_seconds=delay)
                case GiveUp() as failure:
                    await returns.fail_uncalled(work.claims, work.claim, work.job, failure)
        except Unavailable as error:
            part = "ledger" if isinstance(error, LedgerUnavailable) else "store"
            parts.health.fails(part, str(error))
            await self._back(work, f"{part}: {error}")
        except asyncio.CancelledError:
            await returns.back(work.claims, work.claim, reason="the worker stopped")
            raise
        return None

    async def _hold_and_call(self, work: Work) -> None:
        parts = self._parts
        delivery = self._delivery(work)
        if delivery == "batch" and work.pool.org.kind == "azure":
            await parts.returns.fail_uncalled(work.claims, work.claim, work.job, NO_BATCHES)
            return
        held = await self._hold(work, delivery)
        match held:
            case AlreadyDone(outcome=outcome):
                await self._acknowledge(work, outcome)
            case Overtaken():  # fenced: goes back only if the queue says that the claim is still ours
                await parts.returns.back(work.claims, work.claim, reason="another delivery of it came first")
            case CapReached() if work.overflowed:
                await parts.returns.back_for_good(work.claims, work.claim, reason="the overflow model is over a cap")
            case CapReached():
                await parts.returns.capped(work.claims, work.claim, work.job, work.pool, held)
            case Held():
                await self._held(work, held)

    async def _hold(self, work: Work, delivery: Delivered) -> HoldResult | None:
        """Hold what the call may cost; None when the ledger is away and the job went back."""
        request = book.hold_request(
            work.claim, work.claims.worker, work.job, work.model, work.pool.org,
            catalog=self._parts.catalog, tenant_caps=self._parts.settings.tenant_caps.get(work.job.tenant),
            days=book.billed_days(self._parts.clock.now(), delivery, self._parts.settings), delivery=delivery,
            first_call=work.claim.delivery == 1 and not work.overflowed,
        )  # fmt: skip
        crashpoint("hold.before")
        hold = asyncio.ensure_future(self._parts.ledger.hold(request))
        try:
            with self._parts.watch.step("hold"):
                held = await asyncio.shield(hold)
        except asyncio.CancelledError:
            await self._undo(work, hold)
            raise
        except LedgerUnavailable as error:
            self._parts.health.fails("ledger", str(error))
            await self._back(work, f"ledger: {error}")
            return None
        crashpoint("hold.after")
        return held

    async def _back(self, work: Work, reason: str) -> None:
        """Give the job back for a moment, since a part that it needs is away."""
        await self._parts.returns.back(work.claims, work.claim, reason=reason, delay_seconds=AWAY_SECONDS)

    def _delivery(self, work: Work) -> Delivered:
        """Whether the job is called now or goes into a batch; what overflows is in a hurry."""
        if work.overflowed or (work.job.delivery == "auto" and work.pool.org.kind == "azure"):
            return "now"
        priority = work.claim.queue.rpartition(".")[2]
        return delivered_as(work.job, work.model, priority=priority, now=self._parts.clock.now())

    async def _undo(self, work: Work, hold: asyncio.Future[HoldResult]) -> None:
        """The worker stops while the hold is on its way: it was never sent, so it is given back."""
        held = await hold
        if isinstance(held, Held) and held.delivery == "now":
            await self._unsent(work, held, "the worker stopped")
        else:
            await self._parts.returns.back(work.claims, work.claim, reason="the worker stopped")

    async def _unsent(self, work: Work, held: Held, reason: str) -> None:
        await self._void(work, held)
        await self._parts.returns.back(work.claims, work.claim, reason=reason)

    async def _void(self, work: Work, held: Held) -> None:
        ending = book.cut_short(None, self._parts.clock.now(), client_request_id=request_name(work, held))
        await self._in_ledger(lambda: self._parts.ledger.void(held.attempt_id, ending))

    @asynccontextmanager
    async def _before_sending(self, work: Work, held: Held) -> AsyncIterator[None]:
        """What breaks off in here was certainly not sent: nothing of it is left in doubt."""
        try:
            yield
        except asyncio.CancelledError:
            await self._unsent(work, held, "the worker stopped")
            raise
        except Exception:
            await self._void(work, held)
            raise

    async def _acknowledge(self, work: Work, outcome: Outcome) -> None:
        await self._parts.returns.ended_before(work.claims, work.claim, outcome)
        await uncharge(self._parts, work)

    async def _held(self, work: Work, held: Held) -> None:
        async with self._before_sending(work, held):
            unanswered = await self._is_unanswered(work, held)
        if unanswered:
            await self._void(work, held)
            reason = "an earlier call of this job was sent and never answered"
            await self._parts.returns.park(work.claims, work.claim, reason=reason)
            return
        if held.delivery == "batch":
            crashpoint("batch.parked.before")
            await self._parts.returns.to_batch(work.claims, work.claim)
            await uncharge(self._parts, work)
            return
        async with self._before_sending(work, held):
            may_send = await self._passed_gate(work)
        if may_send:
            await self._call(work, held)
        else:
            await self._unsent(work, held, "it must not be sent any more")

    async def _passed_gate(self, work: Work) -> bool:
        tokens = book.call_tokens(work.job, work.model, work.pool, self._parts.catalog)
        return await self._parts.gates.passed(work.claims, work.claim, work.pool, work.job.n, tokens)

    async def _is_unanswered(self, work: Work, held: Held) -> bool:
        """Whether an unanswered call holds the job back, since nobody has said yet that it may go again."""
        if not held.unanswered or work.job.on_doubt != "hold":
            return False
        cleared = await until_done(self._parts.health, "queue", lambda: work.claims.cleared(work.claim))
        return held.unanswered > cleared

    async def _call(self, work: Work, held: Held) -> None:
        name = request_name(work, held)
        attempt = attempt_of(work, held)
        request = build_request(work.job, work.model, work.pool.org, client_request_id=name)
        started = self._parts.clock.now()
        crashpoint("call.before")
        try:
            with self._parts.watch.calling(attempt) as span:
                result = await self._parts.caller.call(
                    request, work.files, lambda event: self._parts.tell_sketch(work.claim.id, event)
                )
                verdict = judge(result)
                self._parts.watch.answered(attempt, span, result, verdict)
        except asyncio.CancelledError:
            ending = book.cut_short(started, self._parts.clock.now(), client_request_id=name)
            await self._in_ledger(lambda: self._parts.ledger.doubt(held.attempt_id, ending))
            await self._parts.returns.stopped(work.claims, work.claim, work.job)
            raise
        crashpoint("call.after")
        if isinstance(result, Answer):
            self._hear(work, result)
        landing = asyncio.ensure_future(self._landing.answered(work, held, result, verdict))
        try:
            await asyncio.shield(landing)
        except asyncio.CancelledError:
            await landing  # an answer that was paid for is stored and booked; the drain gives it some more seconds
            raise

    def _hear(self, work: Work, answer: Answer) -> None:
        """What the answer says of the limits is noted beside the job's life, which does not wait for it."""
        news = self._parts.hearing.hear(work.pool, work.model.name, answer.headers)
        if news is not None:
            noting = asyncio.ensure_future(news)
            self._heard.add(noting)
            noting.add_done_callback(self._heard.discard)

    async def _in_ledger(self, step: Callable[[], Awaitable[bool]]) -> bool:
        return await until_done(self._parts.health, "ledger", step)
