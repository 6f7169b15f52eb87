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
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import date

from imagequeue.config.catalog import Catalog, Model
from imagequeue.config.catalog.delivery import Delivered, delivered_as
from imagequeue.config.clock import Clock
from imagequeue.config.errors import JobRefused, LedgerUnavailable, Unavailable
from imagequeue.config.job import Job
from imagequeue.config.money import NanoUsd, format_usd
from imagequeue.config.settings import Settings
from imagequeue.ledger.api import (
    AlreadyDone,
    CapReached,
    Held,
    HoldResult,
    ImageRecord,
    JobCost,
    JobFailure,
    Outcome,
    Overtaken,
)
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.ceilings import Pool
from imagequeue.queue.claims import Claim, Claims
from imagequeue.queue.payload import decode
from imagequeue.store.store import ImageStore
from imagequeue.worker import book
from imagequeue.worker.answer import Answer, Result
from imagequeue.worker.call import Caller, Files
from imagequeue.worker.crashpoint import crashpoint
from imagequeue.worker.decide import BackInLine, GiveUp, Park, RunAgain, Succeed, decide, without_input
from imagequeue.worker.download import Downloader
from imagequeue.worker.gate import Gates
from imagequeue.worker.health import Health
from imagequeue.worker.heard import Hearing
from imagequeue.worker.inputs import BadInput, Inputs
from imagequeue.worker.overflow import Overflow
from imagequeue.worker.persistence import until_done
from imagequeue.worker.pictures import BadPicture, Picture, pictures_of
from imagequeue.worker.request import build_request
from imagequeue.worker.returns import Returns
from imagequeue.worker.stored_answers import StoredAnswers
from imagequeue.worker.telling import Telling, deciding_call
from imagequeue.worker.verdict import Images, Trouble, Verdict, judge, ledger_state
from imagequeue.worker.watching import Attempt, Watch

LEDGER_AWAY_SECONDS = 1.0
FAULT_SECONDS = 5.0
NO_BATCHES = GiveUp(code="batch_not_offered", message="this organization's server offers no batches", retryable=False)


@dataclass(frozen=True, kw_only=True)
class FirstChoice:
    """What an overflowed job would have been called as."""

    job: Job
    model: Model


@dataclass(frozen=True, kw_only=True)
class Work:
    """One claim being worked on: the job as it will be called, by whom."""

    claims: Claims
    claim: Claim
    job: Job
    model: Model
    pool: Pool
    tries: int
    files: Files = field(default_factory=list)
    first_choice: FirstChoice | None = None

    @property
    def overflowed(self) -> bool:
        """Whether it is called on another model than its first choice, which refused it."""
        return self.first_choice is not None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a job's life needs; built once in main."""

    settings: Settings
    catalog: Catalog
    ledger: Ledger
    store: ImageStore
    caller: Caller
    downloader: Downloader
    inputs: Inputs
    returns: Returns
    telling: Telling
    health: Health
    clock: Clock
    pools: Callable[[], Mapping[str, Pool]]
    overflow: Overflow
    gates: Gates
    is_cancelled: Callable[[str], bool]
    tell_sketch: Callable[[str, bytes], Awaitable[None]]
    answers: StoredAnswers
    hearing: Hearing
    watch: Watch


class JobLife:
    """Lives the lives of claimed jobs, any number at once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
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
        """Give a job back that a fault of ours broke off; the attempt counts, so that it cannot go on for ever."""
        await self._parts.returns.again(claims, claim, reason="a fault inside the worker", delay_seconds=FAULT_SECONDS)

    def _work(self, claims: Claims, claim: Claim, job: Job) -> Work | None:
        pool = self._parts.pools().get(claim.pool)
        name = claim.queue.rpartition(".")[0]
        if pool is None or name not in pool.models:
            return None
        model = self._parts.catalog.model(name)
        return Work(
            claims=claims,
            claim=claim,
            job=job.model_copy(update={"model": name}),
            model=model,
            pool=pool,
            tries=claim.tries,
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
            await returns.back(work.claims, work.claim, reason=f"{part}: {error}", delay_seconds=LEDGER_AWAY_SECONDS)
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
        request = book.hold_request(
            work.claim, work.claims.worker, work.job, work.model, work.pool.org,
            catalog=parts.catalog, tenant_caps=parts.settings.tenant_caps.get(work.job.tenant),
            on=parts.clock.now().date(), first_call=work.claim.delivery == 1 and not work.overflowed,
            delivery=delivery,
        )  # fmt: skip
        crashpoint("hold.before")
        hold = asyncio.ensure_future(parts.ledger.hold(request))
        try:
            with parts.watch.step("hold"):
                held = await asyncio.shield(hold)
        except asyncio.CancelledError:
            await self._undo(work, hold)
            raise
        except LedgerUnavailable as error:
            parts.health.fails("ledger", str(error))
            await parts.returns.back(
                work.claims, work.claim, reason=f"ledger: {error}", delay_seconds=LEDGER_AWAY_SECONDS
            )
            return
        crashpoint("hold.after")
        match held:
            case AlreadyDone(outcome=outcome):
                await self._acknowledge(work, outcome)
            case Overtaken():  # fenced: goes back only if the queue says that the claim is still ours
                await parts.returns.back(work.claims, work.claim, reason="another delivery of it came first")
            case CapReached() if work.overflowed:
                await parts.returns.back(work.claims, work.claim, reason="the overflow model is over a cap")
            case CapReached():
                await parts.returns.capped(work.claims, work.claim, work.job, work.pool, held)
            case Held():
                await self._held(work, held)

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
        ending = book.cut_short(None, self._parts.clock.now(), client_request_id=_request_name(work, held))
        await self._in_ledger(lambda: self._parts.ledger.void(held.attempt_id, ending))
        await self._parts.returns.back(work.claims, work.claim, reason=reason)

    async def _acknowledge(self, work: Work, outcome: Outcome) -> None:
        await self._parts.returns.ended_before(work.claims, work.claim, outcome)

    async def _held(self, work: Work, held: Held) -> None:
        try:
            unanswered = await self._is_unanswered(work, held)
        except asyncio.CancelledError:
            await self._unsent(work, held, "the worker stopped")
            raise
        if held.delivery == "batch" and not unanswered:
            crashpoint("batch.parked.before")
            await self._parts.returns.to_batch(work.claims, work.claim)
            return
        if unanswered or self._parts.is_cancelled(work.claim.id):
            ending = book.cut_short(None, self._parts.clock.now(), client_request_id=_request_name(work, held))
            await self._in_ledger(lambda: self._parts.ledger.void(held.attempt_id, ending))
            if unanswered:
                reason = "an earlier call of this job was sent and never answered"
                await self._parts.returns.park(work.claims, work.claim, reason=reason)
            else:
                await self._parts.returns.back(work.claims, work.claim, reason="cancelled before it was sent")
            return
        try:
            may_send = await self._parts.gates.passed(work.claims, work.claim, work.pool, work.job.n)
        except asyncio.CancelledError:
            await self._unsent(work, held, "the worker stopped")
            raise
        if may_send:
            await self._call(work, held)
        else:
            await self._unsent(work, held, "it must not be sent any more")

    async def _is_unanswered(self, work: Work, held: Held) -> bool:
        """Whether an unanswered call holds the job back, since nobody has said yet that it may go again."""
        if not held.unanswered or work.job.on_doubt != "hold":
            return False
        cleared = await until_done(self._parts.health, "queue", lambda: work.claims.cleared(work.claim))
        return held.unanswered > cleared

    async def _call(self, work: Work, held: Held) -> None:
        name = _request_name(work, held)
        attempt = _attempt(work, held)
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
        landing = asyncio.ensure_future(self._answered(work, held, result, verdict))
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

    async def _answered(self, work: Work, held: Held, result: Result, verdict: Verdict) -> None:
        if isinstance(verdict, Images) and isinstance(result, Answer):
            try:
                pictures = await pictures_of(verdict.body, lambda url: self._parts.downloader.fetch(url, work.pool.org))
            except BadPicture as problem:
                verdict = Trouble(code="bad_answer", message=str(problem), may_be_billed=True)
            else:
                await self._succeed(work, held, result, verdict, pictures)
                return
        await self._without_images(work, held, result, verdict)

    async def _succeed(
        self, work: Work, held: Held, answer: Answer, images: Images, pictures: tuple[Picture, ...]
    ) -> None:
        parts = self._parts
        crashpoint("store.before")
        with parts.watch.step("store"):
            stored = tuple([await self._keep(picture) for picture in pictures])
        crashpoint("store.after")
        cost_nano = (
            book.cost(work.job, work.model, images, len(pictures), answer.ended_at.date())
            if held.paid_nano is None
            else NanoUsd(held.paid_nano)
        )
        entry = book.settlement(
            answer, images, stored, cost_nano, client_request_id=_request_name(work, held),
            first_choice_nano=_first_choice_nano(work, len(pictures), answer.ended_at.date()),
        )  # fmt: skip
        entry = await parts.telling.success(
            work.claim.id, work.job, held.attempt_id, entry, model=work.model.name, org=work.pool.org.name
        )
        with parts.watch.step("settle"):
            booked = await self._in_ledger(lambda: parts.ledger.settle(held.attempt_id, entry))
        crashpoint("settle.after")
        if not booked:
            await self._taken_for_lost(work)
            return
        value = book.result_value("succeeded", stored, format_usd(cost_nano))
        worked_seconds = (answer.ended_at - answer.sent_at).total_seconds()
        await parts.returns.finish(
            work.claims,
            work.claim,
            work.job,
            work.model,
            work.pool,
            value,
            worked_seconds,
            book.usage_of(images),
            self._stored(work, stored, cost_nano),
        )

    def _stored(self, work: Work, images: tuple[ImageRecord, ...], cost_nano: NanoUsd) -> str:
        """What the cache may keep; nothing where no job uses it."""
        if "off" in (work.job.cache, work.job.cache or self._parts.settings.cache):
            return ""
        cost = JobCost(usd_nano=cost_nano, model=work.model.name, org=work.pool.org.name, delivery="now")
        return book.stored_result(work.claim, cost, images)

    async def _keep(self, picture: Picture) -> ImageRecord:
        stored = await until_done(
            self._parts.health, "store", lambda: self._parts.store.put(picture.data, picture.facts)
        )
        return book.record(picture, stored)

    async def _without_images(self, work: Work, held: Held, result: Result, verdict: Verdict) -> None:
        parts = self._parts
        chance = random.random()  # noqa: S311 - jitter, not a secret
        decision = decide(verdict, work.job, tries=work.tries + 1, chance=chance)
        failure = (
            JobFailure(code=decision.code, message=decision.message, retryable=decision.retryable)
            if isinstance(decision, GiveUp)
            else None
        )
        ending = book.ending(result, verdict, client_request_id=_request_name(work, held))
        in_doubt = ledger_state(verdict) == "doubt"
        if failure is not None:
            deciding = deciding_call(held.attempt_id, ending, in_doubt=in_doubt)
            failure = await parts.telling.failure(work.claim.id, work.job, failure, deciding)
        book_it = parts.ledger.doubt if in_doubt else parts.ledger.void
        booked = await self._in_ledger(lambda: book_it(held.attempt_id, ending, failure))
        crashpoint("ending.after")
        if failure is not None and not booked:
            await self._taken_for_lost(work)
            return
        match decision:
            case BackInLine():
                await self._refused(work, decision)
            case RunAgain(delay_seconds=delay, reason=reason):
                await parts.returns.again(work.claims, work.claim, reason=reason, delay_seconds=delay)
            case Park(reason=reason):
                await parts.returns.park(work.claims, work.claim, reason=reason)
            case GiveUp():
                await parts.returns.fail(work.claims, work.claim, decision)
            case Succeed():
                raise AssertionError("an answer without images cannot succeed")

    async def _refused(self, work: Work, decision: BackInLine) -> None:
        """The pool learns of the refusal; then the job moves to an overflow model with room now, or back in line."""
        parts = self._parts
        await parts.returns.pool_refused(work.pool, work.model, decision)
        if decision.pause_seconds and not work.overflowed:
            other = await parts.overflow.elsewhere(work.claims, work.claim, work.job, work.pool)
            if other is not None:
                first = FirstChoice(job=work.job, model=work.model)
                moved = replace(work, job=other.job, model=other.model, pool=other.pool, first_choice=first)
                await self._hold_and_call(moved)
                return
        await parts.returns.back(work.claims, work.claim, reason=decision.reason)

    async def _taken_for_lost(self, work: Work) -> None:
        """The ledger gave this attempt up for another worker's: the job did not end here, the next delivery tells."""
        await self._parts.returns.back(work.claims, work.claim, reason="another worker held it in between")

    async def _in_ledger(self, step: Callable[[], Awaitable[bool]]) -> bool:
        return await until_done(self._parts.health, "ledger", step)


def _first_choice_nano(work: Work, made: int, on: date) -> NanoUsd | None:
    """What the refused model would have cost for as many images; None for a job that did not overflow."""
    first = work.first_choice
    return None if first is None else book.price(first.job, first.model, made, on)


def _attempt(work: Work, held: Held) -> Attempt:
    return Attempt(
        job_id=work.claim.id,
        n=held.n,
        org=work.pool.org.name,
        pool=work.pool.name,
        model=work.model.name,
        client_request_id=_request_name(work, held),
    )


def _request_name(work: Work, held: Held) -> str:
    """What the provider's records call this attempt; at most 512 ASCII characters."""
    return f"{work.claim.id}-{held.n}"
