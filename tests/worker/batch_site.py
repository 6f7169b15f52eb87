"""A worker's batches apart from the rest of it: stepped inside the test, or in a process that can be killed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ready_process import forking

from imagequeue.config.catalog import load_catalog
from imagequeue.config.clock import SystemClock
from imagequeue.config.settings import Settings, load_settings
from imagequeue.ledger.batch_records import unfinished, waiting_groups
from imagequeue.queue.announcing import Announcer
from imagequeue.queue.scripts import Scripts
from imagequeue.worker.batch_api import BatchApi
from imagequeue.worker.batch_results import Results
from imagequeue.worker.batch_turn import BatchPace
from imagequeue.worker.batcher import Batcher
from imagequeue.worker.crashpoint import arm
from imagequeue.worker.health import Health
from imagequeue.worker.opened import Opened, open_parts
from imagequeue.worker.telling import Telling

PACE = BatchPace(gather=0.0, poll=0.05, look=0.05, tell=0.05, unsure=0.3, lease=0.4)
SECONDS_MAX = 30.0
PROCESS_SECONDS_MAX = 60.0


@asynccontextmanager
async def batcher(settings: Settings, pace: BatchPace = PACE) -> AsyncIterator[tuple[Batcher, Opened]]:
    """Build a batcher as the worker does."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    async with open_parts(settings, url) as opened:
        clock, catalog = SystemClock(), load_catalog(settings.catalog)
        scripts = Scripts(opened.redis, settings.keys)
        results = Results(
            ledger=opened.ledger,
            scripts=scripts,
            store=opened.store,
            downloader=opened.downloader,
            telling=Telling(Announcer(scripts, opened.ledger, settings, clock), Health()),
            catalog=catalog,
            clock=clock,
        )
        made = Batcher(
            ledger=opened.ledger,
            api=BatchApi(opened.transport),
            results=results,
            orgs=settings.orgs,
            catalog=catalog,
            clock=clock,
            pace=pace,
        )
        yield made, opened


async def drive(settings: Settings, pace: BatchPace = PACE) -> None:
    """Step until no attempt waits and no batch is left."""
    async with batcher(settings, pace) as (stepping, opened), asyncio.timeout(SECONDS_MAX):
        while await opened.ledger.read(waiting_groups) or await opened.ledger.read(unfinished):
            await stepping.look()
            await asyncio.sleep(0.02)


def killed_at(point: str, environ: Mapping[str, str]) -> int:
    """Step batches in a process that kills itself at a point; return its exit code.

    The processes are forked from one that has everything imported, which takes longer than the test itself.
    """
    process = forking().Process(target=_drive_to, args=(point, dict(environ)))
    process.start()
    process.join(PROCESS_SECONDS_MAX)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"the process at {point} does not end")
    return process.exitcode


def _drive_to(point: str, environ: Mapping[str, str]) -> None:
    arm(point)
    asyncio.run(drive(load_settings(environ)))
