"""What many ask for and few readings answer: the status of everything, and the ledger's agreement with the provider."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from imagequeue.config.settings import Settings
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.provider_state import ProviderState, provider_state
from imagequeue.queue.status import QueueStatus, Status
from imagequeue.queue.status_reading import StatusReader
from imagequeue.queue.tenant_counts import Counts, TenantCounter

FRESH_SECONDS: Final = 1.0
AGREEMENT_FRESH_SECONDS: Final = 5.0
COUNTS_FRESH_SECONDS: Final = 1.0

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Shares one reading among all who ask within so many seconds, and its failure among all who wait for it."""

    def __init__(self, reading: Callable[[], Awaitable[Value]], fresh_seconds: float) -> None:
        self._read_anew = reading
        self._fresh_seconds = fresh_seconds
        self._reading: asyncio.Task[Value] | None = None
        self._last: tuple[float, Value] | None = None

    async def read(self) -> Value:
        """Return a value that is fresh; raises what its reading raises."""
        if self._last is not None and time.monotonic() - self._last[0] <= self._fresh_seconds:
            return self._last[1]
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(self._reading)

    async def _read(self) -> Value:
        value = await self._read_anew()
        self._last = time.monotonic(), value
        return value


class RecentStatus(Recent[Status]):
    """A status that is at most FRESH_SECONDS old; QueueUnavailable when Redis does not answer."""

    def __init__(self, reader: StatusReader) -> None:
        super().__init__(reader.read, FRESH_SECONDS)


class RecentCounts(Recent[Counts]):
    """How many jobs each tenant has where, at most COUNTS_FRESH_SECONDS old; QueueUnavailable as above."""

    def __init__(self, counter: TenantCounter) -> None:
        super().__init__(counter.read, COUNTS_FRESH_SECONDS)
        self._counter = counter

    async def own(self, tenant: str, queues: Sequence[QueueStatus], counts: Counts) -> tuple[QueueStatus, ...]:
        """Return the queues as one tenant may see them, with what stands in its lines now."""
        return await self._counter.own(tenant, queues, counts)


class RecentAgreement(Recent[ProviderState]):
    """How far ledger and provider agree, at most AGREEMENT_FRESH_SECONDS old; LedgerUnavailable as it says."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        super().__init__(self._agreement, AGREEMENT_FRESH_SECONDS)
        self._ledger = ledger
        self._keyed = [org.name for org in settings.orgs if org.admin_key is not None]

    async def _agreement(self) -> ProviderState:
        now = self._ledger.now()
        return await self._ledger.read(lambda connection: provider_state(connection, self._keyed, now))
