"""Builds what lives a job's life, from the settings and the parts that are open."""

import functools
from collections.abc import Awaitable, Callable

from imagequeue.config.admission import admit
from imagequeue.config.catalog import Catalog
from imagequeue.config.clock import SystemClock
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings
from imagequeue.queue.announcing import Announcer
from imagequeue.queue.flights import Flight, flight_of
from imagequeue.queue.intake import take_in
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.sketches import publish
from imagequeue.queue.ways import ways_out
from imagequeue.worker.board import Board
from imagequeue.worker.gate import Gates
from imagequeue.worker.health import Health
from imagequeue.worker.heard import Hearing
from imagequeue.worker.inputs import Inputs, Room
from imagequeue.worker.life import JobLife
from imagequeue.worker.opened import Opened
from imagequeue.worker.overflow import Overflow
from imagequeue.worker.plan import PaceSettings
from imagequeue.worker.refusals import Refusals
from imagequeue.worker.returns import Returns
from imagequeue.worker.stored_answers import StoredAnswers
from imagequeue.worker.telling import Telling
from imagequeue.worker.watching import Watch
from imagequeue.worker.work import Parts


def pace_of(settings: Settings) -> PaceSettings:
    """Return what the settings say of how fast and in which order jobs start."""
    return PaceSettings(
        fraction=settings.pace_fraction,
        burst_seconds=settings.burst_seconds,
        share_default=settings.share_default,
        share_low=settings.share_low,
        tenant_weights=settings.tenant_weights,
    )


def job_life(
    settings: Settings,
    catalog: Catalog,
    scripts: Scripts,
    health: Health,
    board: Board,
    opened: Opened,
    watch: Watch,
) -> JobLife:
    """Return what runs one claimed job."""
    clock = SystemClock()
    announcer = Announcer(scripts, opened.ledger, settings, clock)
    telling = Telling(announcer, health)
    returns = Returns(
        scripts=scripts,
        ledger=opened.ledger,
        catalog=catalog,
        settings=settings,
        health=health,
        clock=clock,
        is_served=board.is_served,
        telling=telling,
    )
    return JobLife(
        Parts(
            settings=settings,
            catalog=catalog,
            ledger=opened.ledger,
            store=opened.store,
            caller=opened.caller,
            downloader=opened.downloader,
            inputs=Inputs(opened.store, opened.ledger, opened.downloader, Room()),
            returns=returns,
            refusals=Refusals(scripts, health, clock, board.model_gone),
            telling=telling,
            health=health,
            clock=clock,
            pools=lambda: board.pools,
            overflow=Overflow(catalog, board),
            gates=Gates(burst_seconds=settings.burst_seconds, health=health),
            tell_sketch=functools.partial(publish, scripts),
            answers=StoredAnswers(
                scripts=scripts,
                ledger=opened.ledger,
                store=opened.store,
                returns=returns,
                announcer=announcer,
                catalog=catalog,
                health=health,
                clock=clock,
            ),
            hearing=Hearing(scripts),
            watch=watch,
        )
    )


def taker(scripts: Scripts, catalog: Catalog, settings: Settings) -> Callable[[str], Awaitable[int]]:
    """Return what takes in ids that RQ's own clients put on a queue; it returns how many it adopted."""

    def check(job: Job, model: str) -> tuple[Job, int]:
        admitted = admit(job, catalog, preference=(model,), served=lambda _: True, webhooks=settings.webhooks)
        return admitted.job, admitted.tokens

    def part(job: Job) -> Flight | None:
        return flight_of(job.model_copy(update={"cache": job.cache or settings.cache}), catalog, settings.cache_scope)

    async def take(queue: str) -> int:
        ttl = settings.result_ttl_seconds
        taken = await take_in(
            scripts,
            queue,
            check,
            ttl_seconds=ttl,
            flight_of=part,
            overflow_of=lambda job: ways_out(job, catalog),
        )
        return taken.adopted

    return take
