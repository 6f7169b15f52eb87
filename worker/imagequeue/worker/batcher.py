"""Gathers attempts that wait for a batch, sends each batch once, and books what comes back.

    formed ─ upload ─► uploaded ─ look up, create ─► open ─ poll ─► every line booked ─► ended ─ tell ─► closed

Every step is noted in the ledger after it is done, and can be done again: an upload is replaced, a creation whose
answer was lost is found by our own name in the batch's metadata, a line that was booked is not booked again. So a batch
outlives any worker, and any worker goes on with it.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import uuid4

import structlog

from imagequeue.config.catalog import Catalog
from imagequeue.config.clock import Clock
from imagequeue.config.errors import ImageQueueError
from imagequeue.config.orgs import Org
from imagequeue.ledger import batches
from imagequeue.ledger.batch_records import waiting_groups
from imagequeue.ledger.ledger import Ledger
from imagequeue.worker.batch_api import BatchApi, BatchTrouble
from imagequeue.worker.batch_lines import LINES_MAX
from imagequeue.worker.batch_reading import BatchReading
from imagequeue.worker.batch_results import Results
from imagequeue.worker.batch_sending import BatchSending
from imagequeue.worker.batch_turn import BatchPace, TakenOver, Turn
from imagequeue.worker.crashpoint import crashpoint

STEPS_MAX: Final = 1_000
"""How many steps one look takes before the next one; a batch that is not due is not looked at."""
FAILURE_SECONDS: Final = 15.0
FAILURE_SECONDS_MAX: Final = 900.0

log = structlog.get_logger("imagequeue.worker")


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
        self._reading = BatchReading(api=api, results=results, catalog=catalog)
        self._sending = BatchSending(api=api, results=results, reading=self._reading, catalog=catalog)
        self._orgs: Mapping[str, Org] = {org.name: org for org in orgs}
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
            turn = Turn(batch=batch, worker=self._worker, ledger=self._ledger, clock=self._clock, pace=self._pace)
            await self._step(turn)
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

    async def _step(self, turn: Turn) -> None:
        batch = turn.batch
        try:
            async with turn.kept():
                await self._do(turn)
        except TakenOver:
            log.warning("another worker goes on with the batch", ref=batch.ref)
        except ImageQueueError as error:
            wait = min(FAILURE_SECONDS * 2 ** min(batch.failures, 10), FAILURE_SECONDS_MAX)
            log.warning("a batch does not get on", ref=batch.ref, state=batch.state, error=str(error))
            await turn.put_back(wait, failure=str(error))

    async def _do(self, turn: Turn) -> None:
        org = self._orgs.get(turn.batch.org)
        if org is None:
            raise BatchTrouble(f"organization {turn.batch.org} is not configured on this worker")
        match turn.batch.state:
            case "formed":
                await self._sending.upload(turn, org)
            case "uploaded":
                await self._sending.create(turn, org)
            case "open":
                await self._reading.poll(turn, org)
            case "ended":
                await self._reading.tell(turn)
            case "closed":
                raise AssertionError("a closed batch is nobody's")
