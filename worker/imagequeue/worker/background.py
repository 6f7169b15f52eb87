"""What a worker does beside running jobs: batches, reconciliation, warnings of caps, what lost workers left held."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import httpx
import structlog

from imagequeue.config.catalog import Catalog
from imagequeue.config.clock import SystemClock
from imagequeue.config.settings import Settings
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.provider_reports import fetch_bill
from imagequeue.queue.announcing import Announcer
from imagequeue.queue.scripts import Scripts
from imagequeue.store.store import ImageStore
from imagequeue.worker.batch_api import BatchApi
from imagequeue.worker.batch_results import Results
from imagequeue.worker.batch_turn import BatchPace
from imagequeue.worker.batcher import Batcher
from imagequeue.worker.cap_watch import CapWatch
from imagequeue.worker.download import Downloader
from imagequeue.worker.health import Health
from imagequeue.worker.reconciler import Reconciler
from imagequeue.worker.sweeper import Sweeper
from imagequeue.worker.telling import Telling

Loop = Callable[[], Awaitable[None]]
AGAIN_SECONDS = 2.0

log = structlog.get_logger("imagequeue.worker")


def background(
    *,
    settings: Settings,
    catalog: Catalog,
    scripts: Scripts,
    ledger: Ledger,
    store: ImageStore,
    downloader: Downloader,
    transport: httpx.AsyncBaseTransport,
    health: Health,
) -> dict[str, Loop]:
    """Return the loops by name, to be run until the worker ends."""
    clock = SystemClock()
    reconciler = Reconciler(
        ledger=ledger,
        orgs=settings.orgs,
        clock=clock,
        fetch=lambda org, day: fetch_bill(org, day, orgs=settings.orgs),
    )
    sweeper = Sweeper(ledger=ledger, scripts=scripts, clock=clock, call_seconds=settings.call_timeout_seconds)
    results = Results(
        ledger=ledger,
        scripts=scripts,
        store=store,
        downloader=downloader,
        telling=Telling(Announcer(scripts, ledger, settings, clock), health),
        catalog=catalog,
        clock=clock,
    )
    batcher = Batcher(
        ledger=ledger,
        api=BatchApi(transport),
        results=results,
        orgs=settings.orgs,
        catalog=catalog,
        clock=clock,
        pace=BatchPace(gather=settings.batch_gather_seconds, poll=settings.batch_poll_seconds),
    )
    cap_watch = CapWatch(ledger=ledger, scripts=scripts, clock=clock)
    return {"reconcile": reconciler.run, "sweep": sweeper.run, "batches": batcher.run, "caps": cap_watch.run}


def keep_running(loops: Mapping[str, Loop]) -> list[asyncio.Task[None]]:
    """Start every loop; cancel the tasks to end them."""
    return [asyncio.create_task(_kept(name, loop), name=name) for name, loop in loops.items()]


async def _kept(name: str, loop: Loop) -> None:
    """Run a loop until it ends by itself; when it breaks off on what nobody foresaw, say so and begin it again."""
    this = asyncio.current_task()
    while this is None or not this.cancelling():
        try:
            await loop()
        except Exception:
            log.exception("a loop broke off; it is begun again", loop=name, pause_seconds=AGAIN_SECONDS)
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return
