"""Gathers attempts that wait for a batch, sends each batch once, and books what comes back.

    formed ─ upload ─► uploaded ─ look up, create ─► open ─ poll ─► every line booked ─► ended ─ tell ─► closed

Every step is noted in the ledger after it is done, and can be done again: an upload is replaced, a creation whose
answer was lost is found by our own name in the batch's metadata, a line that was booked is not booked again. So a batch
outlives any worker, and any worker goes on with it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import uuid4

import structlog

from imagequeue.config.catalog import Catalog
from imagequeue.config.clock import Clock
from imagequeue.config.errors import ImageQueueError
from imagequeue.config.orgs import Org
from imagequeue.ledger import batches
from imagequeue.ledger.api import Ending
from imagequeue.ledger.batch_records import (
    ITEMS_PER_READ,
    Batch,
    BatchItem,
    BatchState,
    items_after,
    items_by_attempt,
    waiting_groups,
)
from imagequeue.ledger.ledger import Ledger
from imagequeue.worker.batch_api import BatchApi, BatchTrouble, RemoteBatch
from imagequeue.worker.batch_lines import BYTES_MAX, ENDPOINTS, LINES_MAX, LineAnswer, line_of, read_line
from imagequeue.worker.batch_results import Line, Results, left_out
from imagequeue.worker.crashpoint import crashpoint

CHUNK_LINES_MAX: Final = 64
CHUNK_BYTES_MAX: Final = 32 * 1024 * 1024
"""How much of an output file is in hand at once."""
STEPS_MAX: Final = 1_000
"""How many steps one look takes before the next one; a batch that is not due is not looked at."""
FAILURE_SECONDS: Final = 15.0
FAILURE_SECONDS_MAX: Final = 900.0
OVER: Final = frozenset({"canceled", "stopped", "failed", "finished"})

log = structlog.get_logger("imagequeue.worker")


class TakenOver(ImageQueueError):
    """The batch is another worker's by now."""


@dataclass(frozen=True, kw_only=True)
class BatchPace:
    """How long things may take, in seconds.

    `unsure`: how long a creation whose answer was lost may still appear. `lease`: a worker silent for this long has
    lost its batch to another.
    """

    gather: float = 300.0
    poll: float = 60.0
    look: float = 5.0
    tell: float = 2.0
    unsure: float = 60.0
    lease: float = 30.0


class Batcher:
    """One worker's share in the batches of its organizations."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        api: BatchApi,
        results: Results,
        orgs: Sequence[Org],
        catalog: Catalog,
        clock: Clock,
        pace: BatchPace,
    ) -> None:
        self._ledger = ledger
        self._api = api
        self._results = results
        self._orgs: Mapping[str, Org] = {org.name: org for org in orgs}
        self._catalog = catalog
        self._clock = clock
        self._pace = pace
        self._worker = f"batcher-{uuid4().hex}"

    async def run(self) -> None:
        """Look for ever; what fails is noted with its batch and tried again."""
        while True:
            try:
                await self.look()
            except ImageQueueError as error:
                log.warning("batches cannot be looked at", error=str(error))
            await asyncio.sleep(self._pace.look * (0.75 + random.random() / 2))  # noqa: S311 - spread, not a secret

    async def look(self) -> int:
        """Form batches that are due, then move every batch on that is due; return how many steps were taken."""
        await self._form()
        for step in range(STEPS_MAX):
            batch = await batches.claim(self._ledger, self._worker, self._pace.lease)
            if batch is None:
                return step
            await self._step(batch)
        return STEPS_MAX

    async def _form(self) -> None:
        since = self._clock.now() - timedelta(seconds=self._pace.gather)
        for group in await self._ledger.read(waiting_groups):
            if group.org in self._orgs and (group.oldest_at <= since or group.items >= LINES_MAX):
                ref = uuid4().hex
                formed = await batches.form(
                    self._ledger, group, ref=ref, formed_before=since, most=LINES_MAX, full=LINES_MAX
                )
                if formed:
                    log.info("batch formed", ref=ref, org=group.org, model=group.model)
                    crashpoint("batch.formed")

    async def _step(self, batch: Batch) -> None:
        try:
            async with self._kept(batch):
                await self._do(batch)
        except TakenOver:
            log.warning("another worker goes on with the batch", ref=batch.ref)
        except ImageQueueError as error:
            wait = min(FAILURE_SECONDS * 2 ** min(batch.failures, 10), FAILURE_SECONDS_MAX)
            log.warning("a batch does not get on", ref=batch.ref, state=batch.state, error=str(error))
            await self._put_back(batch, wait, failure=str(error))

    async def _do(self, batch: Batch) -> None:
        org = self._orgs.get(batch.org)
        if org is None:
            raise BatchTrouble(f"organization {batch.org} is not configured on this worker")
        match batch.state:
            case "formed":
                await self._upload(batch, org)
            case "uploaded":
                await self._create(batch, org)
            case "open":
                await self._poll(batch, org)
            case "ended":
                await self._tell(batch)
            case "closed":
                raise AssertionError("a closed batch is nobody's")

    # -- before the provider has it -----------------------------------------------------------------------------------

    async def _upload(self, batch: Batch, org: Org) -> None:
        content, count = await self._lines(batch, org)
        if not count:
            await self._advance(batch, "ended")
            await self._put_back(batch, 0)
            return
        name = f"imagequeue-{batch.ref}.jsonl"
        if batch.failures or batch.created_at < self._clock.now() - timedelta(seconds=self._pace.lease):
            await self._api.remove_files(org, name)  # an earlier try may have left one
        file_id = await self._api.upload(org, name, content)
        crashpoint("batch.upload.after")
        if not await batches.advance(self._ledger, batch.ref, self._worker, "uploaded", file_id=file_id, items=count):
            raise TakenOver(batch.ref)
        crashpoint("batch.uploaded")
        await self._put_back(batch, 0)

    async def _lines(self, batch: Batch, org: Org) -> tuple[bytes, int]:
        """Return the lines of the attempts that are still wanted, as many as fit; the others leave the batch."""
        model = self._catalog.model(batch.model)
        lines: list[bytes] = []
        size = 0
        async for items in self._items(batch):
            records = await self._results.records([item.job_id for item in items])
            over, later = [], []
            for item in items:
                record = records.get(item.job_id)
                job = record.job() if record is not None and record.status not in OVER else None
                if job is None or not item.is_held:
                    over.append(item)
                    continue
                line = line_of(job.model_copy(update={"model": model.name}), model, org, item.attempt_id)
                if size + len(line) > BYTES_MAX:
                    later.append(item.attempt_id)
                else:
                    lines.append(line)
                    size += len(line)
            await self._drop(over)
            await batches.leave_out(self._ledger, later, again=True)
        return b"".join(lines), len(lines)

    async def _drop(self, items: Sequence[BatchItem]) -> None:
        """Void the attempts of jobs that ended before they were sent."""
        ending = Ending(ended_at=self._clock.now(), error_code="cancelled", error_message="its job ended before it")
        for item in items:
            if item.is_held:
                await self._ledger.void(item.attempt_id, ending)
        await batches.leave_out(self._ledger, [item.attempt_id for item in items], again=False)

    async def _create(self, batch: Batch, org: Org) -> None:
        remote = None
        if batch.create_tried_at is not None:
            remote = await self._api.find(org, batch.ref, since=batch.created_at - timedelta(hours=1))
            unsure_until = batch.create_tried_at + timedelta(seconds=self._pace.unsure)
            if remote is None and self._clock.now() < unsure_until:
                left = (unsure_until - self._clock.now()).total_seconds()
                await self._put_back(batch, left, failure="the provider's answer was lost; it may still have it")
                return
        if remote is None:
            remote = await self._ask_to_create(batch, org)
        if remote is None:
            return
        crashpoint("batch.create.after")
        if not await batches.advance(self._ledger, batch.ref, self._worker, "open", batch_id=remote.id):
            raise TakenOver(batch.ref)
        crashpoint("batch.open")
        log.info("batch sent", ref=batch.ref, batch=remote.id, items=batch.items)
        await self._put_back(batch, min(self._pace.poll, self._pace.look))

    async def _ask_to_create(self, batch: Batch, org: Org) -> RemoteBatch | None:
        """Return the new batch; None when the provider refuses it for good, which ends it without a bill."""
        if not await batches.note_create(self._ledger, batch.ref, self._worker):
            raise TakenOver(batch.ref)
        crashpoint("batch.create.before")
        try:
            return await self._api.create(
                org, file_id=str(batch.file_id), endpoint=ENDPOINTS[batch.operation], ref=batch.ref
            )
        except BatchTrouble as trouble:
            if not trouble.refused:
                raise
            await self._rest(batch, org, "batch_refused", str(trouble), may_be_billed=False)
            await self._advance(batch, "ended")
            await self._put_back(batch, 0)
            return None

    # -- when the provider has it -------------------------------------------------------------------------------------

    async def _poll(self, batch: Batch, org: Org) -> None:
        remote = await self._api.get(org, str(batch.batch_id))
        if not remote.has_ended:
            await self._put_back(batch, self._pace.poll)
            return
        for file_id in (remote.output_file_id, remote.error_file_id):
            if file_id is not None:
                await self._read(batch, org, file_id)
        crashpoint("batch.read")
        done = remote.status == "completed"
        message = remote.errors or f"the batch is {remote.status} and says nothing of it"
        await self._rest(batch, org, f"batch_{remote.status}", message, may_be_billed=done)
        await self._advance(batch, "ended")
        crashpoint("batch.ended")
        log.info("batch ended", ref=batch.ref, batch=remote.id, status=remote.status)
        await self._put_back(batch, 0)

    async def _read(self, batch: Batch, org: Org, file_id: str) -> None:
        chunk: list[LineAnswer] = []
        size = 0
        async for text in self._api.lines(org, file_id):
            line = read_line(text, sent_at=batch.created_at, now=self._clock.now())
            if line is None:
                log.warning("a line of a batch cannot be read", ref=batch.ref, file=file_id)
                continue
            chunk.append(line)
            size += len(text)
            if len(chunk) >= CHUNK_LINES_MAX or size >= CHUNK_BYTES_MAX:
                await self._take(batch, org, chunk)
                chunk, size = [], 0
        await self._take(batch, org, chunk)

    async def _take(self, batch: Batch, org: Org, chunk: Sequence[LineAnswer]) -> None:
        """Book some lines at once, so that they share the ledger's commits."""
        if not chunk:
            return
        ids = [line.attempt_id for line in chunk]
        items = await self._ledger.read(lambda connection: items_by_attempt(connection, batch.ref, ids))
        open_items = {attempt_id: item for attempt_id, item in items.items() if item.is_held}
        records = await self._results.records([item.job_id for item in open_items.values()])
        model = self._catalog.model(batch.model)
        lines = []
        for answer in chunk:
            item = open_items.get(answer.attempt_id)
            if item is not None:
                record = records.get(item.job_id)
                job = record.job() if record is not None else None
                lines.append(Line(batch=batch, item=item, answer=answer, org=org, model=model, job=job))
        ends = await asyncio.gather(*(self._results.take(line) for line in lines), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end  # the others are booked; this one comes again with the next try

    async def _rest(self, batch: Batch, org: Org, code: str, message: str, *, may_be_billed: bool) -> None:
        """Book what no file mentions."""
        async for items in self._items(batch):
            left = [item for item in items if item.is_held]
            for start in range(0, len(left), CHUNK_LINES_MAX):
                some = left[start : start + CHUNK_LINES_MAX]
                answers = [left_out(item.attempt_id, code, message, may_be_billed=may_be_billed) for item in some]
                await self._take(batch, org, answers)

    async def _tell(self, batch: Batch) -> None:
        told = True
        async for items in self._items(batch):
            told = await self._results.tell([item.job_id for item in items if not item.is_held]) and told
        if not told:
            await self._put_back(batch, self._pace.tell)
            return
        crashpoint("batch.told")
        await self._advance(batch, "closed")

    # -- the batch in the ledger --------------------------------------------------------------------------------------

    async def _items(self, batch: Batch) -> AsyncIterator[Sequence[BatchItem]]:
        after = 0
        while True:
            items = await self._ledger.read(
                lambda connection, after=after: items_after(connection, batch.ref, after)  # type: ignore[misc]  # bound now
            )
            if items:
                yield items
                after = items[-1].attempt_id
            if len(items) < ITEMS_PER_READ:
                return

    async def _advance(self, batch: Batch, state: BatchState) -> None:
        if not await batches.advance(self._ledger, batch.ref, self._worker, state):
            raise TakenOver(batch.ref)

    async def _put_back(self, batch: Batch, seconds: float, *, failure: str | None = None) -> None:
        due = self._clock.now() + timedelta(seconds=seconds)
        await batches.put_back(self._ledger, batch.ref, self._worker, due, failure=failure)

    @asynccontextmanager
    async def _kept(self, batch: Batch) -> AsyncIterator[None]:
        """Keep the batch ours while a step takes long; the step ends when it is not."""
        this = asyncio.current_task()
        lost = False

        async def keep() -> None:
            nonlocal lost
            while True:
                await asyncio.sleep(self._pace.lease / 3)
                if not await batches.renew(self._ledger, batch.ref, self._worker, self._pace.lease):
                    lost = True
                    if this is not None:
                        this.cancel()
                    return

        keeper = asyncio.create_task(keep())
        try:
            yield
        except asyncio.CancelledError:
            if not lost or this is None:
                raise
            this.uncancel()
            raise TakenOver(batch.ref) from None
        finally:
            keeper.cancel()
