"""What becomes of a job after its call: its images are made durable and booked, or it goes where a refusal leads."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from imagequeue.config.money import NanoUsd, format_usd
from imagequeue.ledger.api import (
    Held,
    ImageRecord,
    JobCost,
    JobFailure,
)
from imagequeue.worker import book
from imagequeue.worker.answer import Answer, Result
from imagequeue.worker.crashpoint import crashpoint
from imagequeue.worker.decide import BackInLine, GiveUp, Park, RunAgain, Succeed, decide
from imagequeue.worker.persistence import until_done
from imagequeue.worker.pictures import BadPicture, Picture, pictures_of
from imagequeue.worker.telling import deciding_call
from imagequeue.worker.verdict import Images, ModelGone, Trouble, Verdict, ledger_state
from imagequeue.worker.work import FirstChoice, Parts, Work, first_choice_nano, request_name


class Landing:
    """Lands calls, any number at once. `go_elsewhere` holds and calls a job that moved to another pool."""

    def __init__(self, parts: Parts, go_elsewhere: Callable[[Work], Awaitable[None]]) -> None:
        self._parts = parts
        self._go_elsewhere = go_elsewhere

    async def answered(self, work: Work, held: Held, result: Result, verdict: Verdict) -> None:
        """Take a job from the end of its call, whatever that is, to where it goes."""
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
            answer, images, stored, cost_nano, client_request_id=request_name(work, held),
            first_choice_nano=first_choice_nano(work, len(pictures), answer.ended_at.date()),
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
        ending = book.ending(result, verdict, client_request_id=request_name(work, held))
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
        if isinstance(verdict, Trouble | ModelGone):
            await parts.refusals.troubled(work.pool, f"{verdict.code}: {verdict.message}")
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
        await parts.refusals.refused(work.pool, work.model, decision)
        if decision.pause_seconds and not work.overflowed:
            other = await parts.overflow.elsewhere(work.claims, work.claim, work.job, work.pool)
            if other is not None:
                first = FirstChoice(job=work.job, model=work.model)
                moved = replace(work, job=other.job, model=other.model, pool=other.pool, first_choice=first)
                await self._go_elsewhere(moved)
                return
        await parts.returns.back(work.claims, work.claim, reason=decision.reason)

    async def _taken_for_lost(self, work: Work) -> None:
        """The ledger gave this attempt up for another worker's: the job did not end here, the next delivery tells."""
        await self._parts.returns.back(work.claims, work.claim, reason="another worker held it in between")

    async def _in_ledger(self, step: Callable[[], Awaitable[bool]]) -> bool:
        return await until_done(self._parts.health, "ledger", step)
