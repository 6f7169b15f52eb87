"""One worker's turn at one batch: it moves the batch on, gives it back, and keeps it while a step takes long."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from imagequeue.config.clock import Clock
from imagequeue.config.errors import ImageQueueError
from imagequeue.ledger import batches
from imagequeue.ledger.batch_records import ITEMS_PER_READ, Batch, BatchItem, BatchState, items_after
from imagequeue.ledger.ledger import Ledger


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


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A claimed batch. Every change raises TakenOver when the claim has gone to another worker."""

    batch: Batch
    worker: str
    ledger: Ledger
    clock: Clock
    pace: BatchPace

    async def advance(
        self,
        state: BatchState,
        *,
        file_id: str | None = None,
        batch_id: str | None = None,
        items: int | None = None,
    ) -> None:
        """Move the batch on."""
        moved = await batches.advance(
            self.ledger, self.batch.ref, self.worker, state, file_id=file_id, batch_id=batch_id, items=items
        )
        if not moved:
            raise TakenOver(self.batch.ref)

    async def note_create(self) -> None:
        """Note that from now on the provider may have the batch."""
        if not await batches.note_create(self.ledger, self.batch.ref, self.worker):
            raise TakenOver(self.batch.ref)

    async def put_back(self, seconds: float, *, failure: str | None = None) -> None:
        """Give the batch up until it is due again."""
        due = self.clock.now() + timedelta(seconds=seconds)
        await batches.put_back(self.ledger, self.batch.ref, self.worker, due, failure=failure)

    async def items(self) -> AsyncIterator[Sequence[BatchItem]]:
        """Yield the batch's attempts, some at a time."""
        after = 0
        while True:
            items = await self.ledger.read(
                lambda connection, after=after: items_after(connection, self.batch.ref, after)  # type: ignore[misc]  # bound now
            )
            if items:
                yield items
                after = items[-1].attempt_id
            if len(items) < ITEMS_PER_READ:
                return

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the batch ours while a step takes long; the step ends when it is not."""
        this = asyncio.current_task()
        lost = False

        async def keep() -> None:
            nonlocal lost
            while True:
                await asyncio.sleep(self.pace.lease / 3)
                if not await batches.renew(self.ledger, self.batch.ref, self.worker, self.pace.lease):
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
            raise TakenOver(self.batch.ref) from None
        finally:
            keeper.cancel()
