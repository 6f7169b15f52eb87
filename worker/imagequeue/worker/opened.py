"""Opens what a worker works with, the server, the ledger, the store and the way to providers, and closes it again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import structlog
from redis.asyncio import Redis

from imagequeue.config.clock import SystemClock
from imagequeue.config.errors import StoreUnavailable
from imagequeue.config.settings import Settings
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.opening import open_ledger
from imagequeue.queue.connection import connect
from imagequeue.store.store import ImageStore, open_store
from imagequeue.worker.call import Caller
from imagequeue.worker.download import Downloader
from imagequeue.worker.http import open_transport

LEFTOVER_SECONDS = 3600.0

log = structlog.get_logger("imagequeue.worker")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """One worker's connections."""

    redis: Redis
    hint_redis: Redis
    ledger: Ledger
    store: ImageStore
    caller: Caller
    downloader: Downloader
    transport: httpx.AsyncBaseTransport


@asynccontextmanager
async def open_parts(settings: Settings, url: str) -> AsyncIterator[Opened]:
    """Open them for the length of a block. `url`: the Redis server's."""
    redis, hint_redis = connect(url), connect(url, protocol=2, connections=2)
    ledger = await open_ledger(settings)
    store = open_store(settings.store_url)
    transport = open_transport()
    try:
        caller = Caller(transport, SystemClock(), timeout_seconds=settings.call_timeout_seconds)
        downloader = Downloader(transport, settings.input_hosts)
        yield Opened(
            redis=redis,
            hint_redis=hint_redis,
            ledger=ledger,
            store=store,
            caller=caller,
            downloader=downloader,
            transport=transport,
        )
    finally:
        await transport.aclose()
        await store.aclose()
        await ledger.aclose()
        await hint_redis.aclose()
        await redis.aclose()


async def sweep(store: ImageStore) -> None:
    """Remove what writers that were killed left behind; young files may be another worker's at this moment."""
    try:
        removed = await store.sweep_temporary(LEFTOVER_SECONDS)
    except StoreUnavailable as error:
        log.warning("the store cannot be swept", error=str(error))
    else:
        if removed:
            log.info("removed unfinished files of killed writers", files=removed)
