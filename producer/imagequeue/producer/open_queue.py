"""Opens what an app or a command needs of the queue: the server, and the ledger when it is first asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from redis.asyncio import Redis

from imagequeue.config.catalog import Catalog, load_catalog
from imagequeue.config.clock import SystemClock
from imagequeue.config.embedded import ensure_server
from imagequeue.config.settings import Settings
from imagequeue.queue.connection import connect
from imagequeue.queue.lane import Lane
from imagequeue.queue.scripts import Scripts

if TYPE_CHECKING:  # what reaches the ledger takes half a second to load, and enqueueing does without
    from imagequeue.ledger.ledger import Ledger
    from imagequeue.producer.inputs import Inputs
    from imagequeue.queue.acts import Acts
    from imagequeue.queue.hits import HitDelivery
    from imagequeue.queue.reading import JobReader
    from imagequeue.queue.status_reading import StatusReader
    from imagequeue.store.store import ImageStore

COMMITS_PER_SECOND: Final = 500.0
"""Somebody waits for each of the few things that a client or a door writes: nothing is gathered."""
ANSWER_SECONDS_MAX: Final = 3.0
"""A server that is silent for longer counts as away: who asks at a door is told soon."""


@dataclass(kw_only=True)
class OpenQueue:
    """An open queue. `jobs` and `acts` open the ledger, `scripts` and `status` do without. `lane` is for queueing."""

    settings: Settings
    catalog: Catalog
    redis: Redis
    scripts: Scripts
    lane: Lane
    _ledger: "Ledger | None" = None
    _store: "ImageStore | None" = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ledger(self) -> "Ledger":
        """Return the ledger, opened once."""
        async with self._opening:
            if self._ledger is None:
                from imagequeue.ledger.opening import open_ledger

                self._ledger = await open_ledger(self.settings, commits_per_second=COMMITS_PER_SECOND)
        return self._ledger

    def store(self) -> "ImageStore":
        """Return the image store, opened once."""
        from imagequeue.store.store import open_store

        if self._store is None:
            self._store = open_store(self.settings.store_url)
        return self._store

    async def jobs(self) -> "JobReader":
        """Return what reads job views."""
        from imagequeue.queue.reading import JobReader

        return JobReader(self.scripts, await self.ledger(), self.settings, self.catalog)

    async def hits(self) -> "HitDelivery":
        """Return what ends jobs that stored results answer."""
        from imagequeue.queue.announcing import Announcer
        from imagequeue.queue.hits import HitDelivery
        from imagequeue.store.store import open_store

        ledger = await self.ledger()
        if self._store is None:
            self._store = open_store(self.settings.store_url)
        announcer = Announcer(self.scripts, ledger, self.settings, SystemClock())
        ttl_seconds = self.settings.result_ttl_seconds
        return HitDelivery(self.scripts, ledger, self._store, announcer, ttl_seconds=ttl_seconds)

    async def acts(self) -> "Acts":
        """Return what acts on jobs."""
        from imagequeue.queue.acts import Acts
        from imagequeue.queue.announcing import Announcer

        ledger = await self.ledger()
        announcer = Announcer(self.scripts, ledger, self.settings, SystemClock())
        return Acts(self.scripts, ledger, ttl_seconds=self.settings.result_ttl_seconds, announcer=announcer)

    async def inputs(self) -> "Inputs":
        """Return what keeps input images; it opens the ledger and the store."""
        from imagequeue.producer.inputs import Inputs
        from imagequeue.store.store import open_store

        ledger = await self.ledger()
        if self._store is None:
            self._store = open_store(self.settings.store_url)
        return Inputs(self._store, ledger, self.catalog)

    def status(self) -> "StatusReader":
        """Return what reads the status of everything."""
        from imagequeue.queue.status_reading import StatusReader

        return StatusReader(self.scripts, self.settings, self.catalog)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._store is not None:
            await self._store.aclose()
        if self._ledger is not None:
            await self._ledger.aclose()
        await self.redis.aclose()


async def open_queue(settings: Settings) -> OpenQueue:
    """Return the queue of the settings; the embedded server is started when no other is configured."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else await _embedded(settings)
    redis = connect(url, answer_seconds=ANSWER_SECONDS_MAX)
    catalog = load_catalog(settings.catalog)
    scripts, lane = Scripts(redis, settings.keys), Lane(redis, settings.keys)
    return OpenQueue(settings=settings, catalog=catalog, redis=redis, scripts=scripts, lane=lane)


@asynccontextmanager
async def opened_queue(settings: Settings) -> AsyncIterator[OpenQueue]:
    """Give the queue of the settings for the length of a block."""
    queue = await open_queue(settings)
    try:
        yield queue
    finally:
        await queue.aclose()


async def _embedded(settings: Settings) -> str:
    return await asyncio.to_thread(ensure_server, settings.data_dir)
