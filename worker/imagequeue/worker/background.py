"""What a worker does beside running jobs: batches, reconciliation, warnings of caps, what lost workers left held."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from imagequeue.ledger.provider_reports import fetch_bill
from imagequeue.queue.announcing import Announcer
from imagequeue.worker.batch_api import BatchApi
from imagequeue.worker.batch_results import Results
from imagequeue.worker.batch_turn import BatchPace
from imagequeue.worker.batcher import Batcher
from imagequeue.worker.cap_watch import CapWatch
from imagequeue.worker.ground import Ground
from imagequeue.worker.reconciler import Reconciler
from imagequeue.worker.sweeper import Sweeper
from imagequeue.worker.telling import Telling

Loop = Callable[[], Awaitable[None]]
AGAIN_SECONDS = 2.0

log = structlog.get_logger("imagequeue.worker")


def background(ground: Ground) -> dict[str, Loop]:
    """Return the loops by name, to be run until the worker ends."""
    ledger, scripts, orgs, clock = ground.opened.ledger, ground.scripts, ground.settings.orgs, ground.clock
    reconciler = Reconciler(
        ledger=ledger, orgs=orgs, clock=clock, fetch=lambda org, day: fetch_bill(org, day, orgs=orgs)
    )
    call_seconds = ground.settings.call_timeout_seconds
    sweeper = Sweeper(ledger=ledger, scripts=scripts, clock=clock, call_seconds=call_seconds)
    cap_watch = CapWatch(ledger=ledger, scripts=scripts, clock=clock)
    return {
        "reconcile": reconciler.run,
        "sweep": sweeper.run,
        "batches": _batcher(ground).run,
        "caps": cap_watch.run,
    }


def _batcher(ground: Ground) -> Batcher:
    settings = ground.settings
    return Batcher(
        ledger=ground.opened.ledger,
        api=BatchApi(ground.opened.transport),
        results=_results(ground),
        orgs=settings.orgs,
        catalog=ground.catalog,
        clock=ground.clock,
        pace=BatchPace(gather=settings.batch_gather_seconds, poll=settings.batch_poll_seconds),
    )


def _results(ground: Ground) -> Results:
    opened = ground.opened
    announcer = Announcer(ground.scripts, opened.ledger, ground.settings, ground.clock)
    return Results(
        ledger=opened.ledger,
        scripts=ground.scripts,
        store=opened.store,
        downloader=opened.downloader,
        telling=Telling(announcer, ground.health),
        catalog=ground.catalog,
        clock=ground.clock,
    )


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
