"""Reads what a batch came to: each line of its files is booked, the rest too, then the jobs are told."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from imagequeue.config.catalog import Catalog
from imagequeue.config.orgs import Org
from imagequeue.ledger.batch_records import items_by_attempt
from imagequeue.worker.batch_api import BatchApi
from imagequeue.worker.batch_lines import LineAnswer, read_line
from imagequeue.worker.batch_results import Line, Results, left_out
from imagequeue.worker.batch_turn import Turn
from imagequeue.worker.crashpoint import crashpoint

CHUNK_LINES_MAX: Final = 64
CHUNK_BYTES_MAX: Final = 32 * 1024 * 1024
"""How much of an output file is in hand at once."""

log = structlog.get_logger("imagequeue.worker")


class BatchReading:
    """What is done once the provider has a batch."""

    def __init__(self, *, api: BatchApi, results: Results, catalog: Catalog) -> None:
        self._api = api
        self._results = results
        self._catalog = catalog

    async def poll(self, turn: Turn, org: Org) -> None:
        """Look at the batch; when it has ended, book all of it."""
        remote = await self._api.get(org, str(turn.batch.batch_id))
        if not remote.has_ended:
            await turn.put_back(turn.pace.poll)
            return
        for file_id in (remote.output_file_id, remote.error_file_id):
            if file_id is not None:
                await self._read(turn, org, file_id)
        crashpoint("batch.read")
        done = remote.status == "completed"
        message = remote.errors or f"the batch is {remote.status} and says nothing of it"
        await self.rest(turn, org, f"batch_{remote.status}", message, may_be_billed=done)
        await turn.advance("ended")
        crashpoint("batch.ended")
        log.info("batch ended", ref=turn.batch.ref, batch=remote.id, status=remote.status)
        await turn.put_back(0)

    async def _read(self, turn: Turn, org: Org, file_id: str) -> None:
        chunk: list[LineAnswer] = []
        size = 0
        async for text in self._api.lines(org, file_id):
            line = read_line(text, sent_at=turn.batch.created_at, now=turn.clock.now())
            if line is None:
                log.warning("a line of a batch cannot be read", ref=turn.batch.ref, file=file_id)
                continue
            chunk.append(line)
            size += len(text)
            if len(chunk) >= CHUNK_LINES_MAX or size >= CHUNK_BYTES_MAX:
                await self._take(turn, org, chunk)
                chunk, size = [], 0
        await self._take(turn, org, chunk)

    async def _take(self, turn: Turn, org: Org, chunk: Sequence[LineAnswer]) -> None:
        """Book some lines at once, so that they share the ledger's commits."""
        if not chunk:
            return
        ids = [line.attempt_id for line in chunk]
        items = await turn.ledger.read(lambda connection: items_by_attempt(connection, turn.batch.ref, ids))
        open_items = {attempt_id: item for attempt_id, item in items.items() if item.is_held}
        records = await self._results.records([item.job_id for item in open_items.values()])
        model = self._catalog.model(turn.batch.model)
        lines = []
        for answer in chunk:
            item = open_items.get(answer.attempt_id)
            if item is not None:
                record = records.get(item.job_id)
                job = record.job() if record is not None else None
                lines.append(Line(batch=turn.batch, item=item, answer=answer, org=org, model=model, job=job))
        ends = await asyncio.gather(*(self._results.take(line) for line in lines), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end  # the others are booked; this one comes again with the next try

    async def rest(self, turn: Turn, org: Org, code: str, message: str, *, may_be_billed: bool) -> None:
        """Book what no file mentions."""
        async for items in turn.items():
            left = [item for item in items if item.is_held]
            for start in range(0, len(left), CHUNK_LINES_MAX):
                some = left[start : start + CHUNK_LINES_MAX]
                answers = [left_out(item.attempt_id, code, message, may_be_billed=may_be_billed) for item in some]
                await self._take(turn, org, answers)

    async def tell(self, turn: Turn) -> None:
        """Let every job of the batch go on; the batch is closed when all have been told."""
        told = True
        async for items in turn.items():
            told = await self._results.tell([item.job_id for item in items if not item.is_held]) and told
        if not told:
            await turn.put_back(turn.pace.tell)
            return
        crashpoint("batch.told")
        await turn.advance("closed")
