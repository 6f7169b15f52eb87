"""What becomes of the attempts of a batch that has ended: images stored, attempts booked, jobs told."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imagequeue.config.catalog import Catalog, Model, price_call
from imagequeue.config.clock import Clock
from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.job import Job
from imagequeue.config.orgs import Org
from imagequeue.ledger.api import Ending, ImageRecord, JobFailure, Saving, Settlement
from imagequeue.ledger.batch_records import Batch, BatchItem
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.record import JobRecord, read_records
from imagequeue.queue.scripts import TROUBLE, Scripts
from imagequeue.store.store import ImageStore
from imagequeue.worker import book
from imagequeue.worker.answer import Answer
from imagequeue.worker.batch_lines import LineAnswer
from imagequeue.worker.crashpoint import crashpoint
from imagequeue.worker.decide import GiveUp, Park, decide
from imagequeue.worker.download import Downloader
from imagequeue.worker.pictures import BadPicture, Picture, pictures_of
from imagequeue.worker.telling import Telling, deciding_call
from imagequeue.worker.verdict import Images, Trouble, Verdict, judge, ledger_state

WAITS_FOR_BATCH: Final = "batch"
"""The reason with which a job is parked while its attempt waits for a batch or is in one."""
NO_CHANCE: Final = 0.0
MESSAGE_CHARACTERS_MAX: Final = 500


@dataclass(frozen=True, kw_only=True)
class Line:
    """One attempt of a batch with what the provider says of it, and its job if Redis still has it."""

    batch: Batch
    item: BatchItem
    answer: LineAnswer
    org: Org
    model: Model
    job: Job | None


class Results:
    """Books lines, and tells the queue."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        scripts: Scripts,
        store: ImageStore,
        downloader: Downloader,
        telling: Telling,
        catalog: Catalog,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._scripts = scripts
        self._store = store
        self._downloader = downloader
        self._telling = telling
        self._catalog = catalog
        self._clock = clock

    async def take(self, line: Line) -> None:
        """Book one line; a line that was booked before changes nothing."""
        said = line.answer.said
        verdict: Verdict = judge(said) if isinstance(said, Answer) else said
        if isinstance(verdict, Images) and isinstance(said, Answer):
            try:
                pictures = await pictures_of(verdict.body, lambda url: self._downloader.fetch(url, line.org))
            except BadPicture as problem:
                verdict = Trouble(code="bad_answer", message=str(problem), may_be_billed=True)
            else:
                await self._succeed(line, said, verdict, pictures)
                crashpoint("batch.line.after")
                return
        await self._without_images(line, verdict)
        crashpoint("batch.line.after")

    async def _succeed(self, line: Line, said: Answer, images: Images, pictures: tuple[Picture, ...]) -> None:
        stored = tuple([await self._keep(picture) for picture in pictures])
        entry = self._settlement(line, said, images, stored)
        if line.job is not None:
            entry = await self._telling.success(
                line.item.job_id, line.job, line.item.attempt_id, entry,
                model=line.model.name, org=line.org.name, delivery="batch",
            )  # fmt: skip
        await self._ledger.settle(line.item.attempt_id, entry)

    async def _keep(self, picture: Picture) -> ImageRecord:
        return book.record(picture, await self._store.put(picture.data, picture.facts))

    def _settlement(self, line: Line, said: Answer, images: Images, stored: tuple[ImageRecord, ...]) -> Settlement:
        usage = images.body.get("usage")
        now_nano, batch_nano = (self._price(line, images, len(stored), delivery, said) for delivery in ("now", "batch"))
        return Settlement(
            usd_nano=batch_nano,
            images=stored,
            sent_at=said.sent_at,
            ended_at=said.ended_at,
            usage=usage if isinstance(usage, dict) else None,
            status_code=said.status,
            request_id=line.answer.request_id,
            client_request_id=str(line.item.attempt_id),
            savings=() if line.org.credits_per_call else (Saving(kind="batch", usd_nano=now_nano - batch_nano),),
        )

    def _price(self, line: Line, images: Images, made: int, delivery: str, said: Answer) -> int:
        return price_call(
            line.model,
            size=line.item.size,
            quality=line.item.quality,
            n=made,
            usage=book.usage_of(images),
            delivery="batch" if delivery == "batch" else "now",
            on=said.ended_at.date(),
            prompt_characters=len(line.job.prompt) if line.job else 0,
        )

    async def _without_images(self, line: Line, verdict: Verdict) -> None:
        failure, parks = self._failure(line, verdict)
        in_doubt = ledger_state(verdict) == "doubt"
        ending = self._ending(line, verdict)
        if failure is not None and line.job is not None:
            deciding = deciding_call(line.item.attempt_id, ending, in_doubt=in_doubt)
            failure = await self._telling.failure(line.item.job_id, line.job, failure, deciding)
        book_it = self._ledger.doubt if in_doubt else self._ledger.void
        await book_it(line.item.attempt_id, ending, failure)
        if parks:
            await self._park(line.item.job_id, str(getattr(verdict, "message", "")))

    def _failure(self, line: Line, verdict: Verdict) -> tuple[JobFailure | None, bool]:
        """Return how the job ends, None when it goes into another batch or waits for a person; and whether it waits."""
        if line.job is None:
            return None, False
        decision = decide(verdict, line.job, tries=line.item.n, chance=NO_CHANCE)
        if isinstance(decision, GiveUp):
            return JobFailure(code=decision.code, message=decision.message, retryable=decision.retryable), False
        if isinstance(decision, Park):
            return None, True
        if line.job.deadline is not None and line.job.deadline <= self._clock.now():
            return JobFailure(code="expired", message="its batch ended after its deadline", status="expired"), False
        if line.item.n >= line.job.max_attempts:
            message = f"{getattr(verdict, 'message', 'refused')} (attempt {line.item.n} of {line.job.max_attempts})"
            return JobFailure(code=str(getattr(verdict, "code", "refused")), message=message, retryable=True), False
        return None, False

    def _ending(self, line: Line, verdict: Verdict) -> Ending:
        said = line.answer.said
        return Ending(
            ended_at=said.ended_at if isinstance(said, Answer) else self._clock.now(),
            sent_at=line.batch.created_at,
            status_code=said.status if isinstance(said, Answer) else None,
            error_code=str(getattr(verdict, "code", "")),
            error_message=str(getattr(verdict, "message", ""))[:MESSAGE_CHARACTERS_MAX],
            request_id=line.answer.request_id,
            client_request_id=str(line.item.attempt_id),
        )

    async def _park(self, job_id: str, detail: str) -> None:
        """The job stays where it is; from now on a person decides."""
        wait = json.dumps({"reason": "doubt", "until": None, "detail": detail})
        try:
            await self._scripts.redis.hset(self._scripts.keys.job(job_id), "iq_wait", wait)
        except TROUBLE as error:
            raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error

    async def records(self, job_ids: Sequence[str]) -> dict[str, JobRecord]:
        """Return those of the jobs that Redis has."""
        try:
            return await read_records(self._scripts, job_ids)
        except TROUBLE as error:
            raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error

    async def tell(self, job_ids: Sequence[str]) -> bool:
        """Let jobs that waited for their batch go on: the ledger says how they ended, or that they need another call.

        False when one of them has not been parked yet; it is to be told later.
        """
        records = await self.records(job_ids)
        for job_id, record in records.items():
            if record.status == "deferred" and (record.wait or {}).get("reason") == WAITS_FOR_BATCH:
                await self._scripts.run("revive", [job_id, "", 0, WAITS_FOR_BATCH])
        return not any(record.status == "started" for record in records.values())


def left_out(attempt_id: int, code: str, message: str, *, may_be_billed: bool) -> LineAnswer:
    """Return what is said of an attempt that no file of its batch mentions."""
    trouble = Trouble(code=code, message=message, may_be_billed=may_be_billed)
    return LineAnswer(attempt_id=attempt_id, said=trouble, request_id=None)
