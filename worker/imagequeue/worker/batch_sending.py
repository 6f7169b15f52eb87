"""Sends a batch: its file first, then the batch, each at most once as far as money goes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from imagequeue.config.catalog import Catalog
from imagequeue.config.orgs import Org
from imagequeue.ledger import batches
from imagequeue.ledger.api import Ending
from imagequeue.ledger.batch_records import BatchItem
from imagequeue.worker.batch_api import BatchApi, BatchTrouble, RemoteBatch
from imagequeue.worker.batch_lines import BYTES_MAX, ENDPOINTS, line_of
from imagequeue.worker.batch_reading import BatchReading
from imagequeue.worker.batch_results import Results
from imagequeue.worker.batch_turn import Turn
from imagequeue.worker.crashpoint import crashpoint

OVER: Final = frozenset({"canceled", "stopped", "failed", "finished"})

log = structlog.get_logger("imagequeue.worker")


class BatchSending:
    """What is done before the provider has a batch."""

    def __init__(self, *, api: BatchApi, results: Results, reading: BatchReading, catalog: Catalog) -> None:
        self._api = api
        self._results = results
        self._reading = reading
        self._catalog = catalog

    async def upload(self, turn: Turn, org: Org) -> None:
        """Upload the lines of the attempts that are still wanted."""
        content, count = await self._lines(turn, org)
        if not count:
            await turn.advance("ended")
            await turn.put_back(0)
            return
        name = f"imagequeue-{turn.batch.ref}.jsonl"
        if turn.batch.failures or turn.batch.created_at < turn.clock.now() - timedelta(seconds=turn.pace.lease):
            await self._api.remove_files(org, name)  # an earlier try may have left one
        file_id = await self._api.upload(org, name, content)
        crashpoint("batch.upload.after")
        await turn.advance("uploaded", file_id=file_id, items=count)
        crashpoint("batch.uploaded")
        await turn.put_back(0)

    async def _lines(self, turn: Turn, org: Org) -> tuple[bytes, int]:
        """Return the lines of the attempts that are still wanted, as many as fit; the others leave the batch."""
        model = self._catalog.model(turn.batch.model)
        lines: list[bytes] = []
        size = 0
        async for items in turn.items():
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
            await self._drop(turn, over)
            await batches.leave_out(turn.ledger, later, again=True)
        return b"".join(lines), len(lines)

    async def _drop(self, turn: Turn, items: Sequence[BatchItem]) -> None:
        """Void the attempts of jobs that ended before they were sent."""
        ending = Ending(ended_at=turn.clock.now(), error_code="cancelled", error_message="its job ended before it")
        for item in items:
            if item.is_held:
                await turn.ledger.void(item.attempt_id, ending)
        await batches.leave_out(turn.ledger, [item.attempt_id for item in items], again=False)

    async def create(self, turn: Turn, org: Org) -> None:
        """Create the batch, unless it turns out that an earlier try did."""
        remote = None
        if turn.batch.create_tried_at is not None:
            remote = await self._api.find(org, turn.batch.ref, since=turn.batch.created_at - timedelta(hours=1))
            unsure_until = turn.batch.create_tried_at + timedelta(seconds=turn.pace.unsure)
            if remote is None and turn.clock.now() < unsure_until:
                left = (unsure_until - turn.clock.now()).total_seconds()
                await turn.put_back(left, failure="the provider's answer was lost; it may still have it")
                return
        if remote is None:
            remote = await self._ask_to_create(turn, org)
        if remote is None:
            return
        crashpoint("batch.create.after")
        await turn.advance("open", batch_id=remote.id)
        crashpoint("batch.open")
        log.info("batch sent", ref=turn.batch.ref, batch=remote.id, items=turn.batch.items)
        await turn.put_back(min(turn.pace.poll, turn.pace.look))

    async def _ask_to_create(self, turn: Turn, org: Org) -> RemoteBatch | None:
        """Return the new batch; None when the provider refuses it for good, which ends it without a bill."""
        await turn.note_create()
        crashpoint("batch.create.before")
        try:
            return await self._api.create(
                org, file_id=str(turn.batch.file_id), endpoint=ENDPOINTS[turn.batch.operation], ref=turn.batch.ref
            )
        except BatchTrouble as trouble:
            if not trouble.refused:
                raise
            await self._reading.rest(turn, org, "batch_refused", str(trouble), may_be_billed=False)
            await turn.advance("ended")
            await turn.put_back(0)
            return None
