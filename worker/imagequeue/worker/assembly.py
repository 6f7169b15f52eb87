"""Builds the parts of one worker from its ground."""

import functools
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from imagequeue.config.admission import admit
from imagequeue.config.job import Job
from imagequeue.queue.announcing import Announcer
from imagequeue.queue.claims import pending
from imagequeue.queue.flights import Flight, flight_of
from imagequeue.queue.intake import take_in
from imagequeue.queue.sketches import publish
from imagequeue.queue.ways import ways_out
from imagequeue.worker.discovery import Discovery
from imagequeue.worker.engine import Engine, EngineLimits
from imagequeue.worker.gate import Gates
from imagequeue.worker.ground import Ground
from imagequeue.worker.heard import Hearing
from imagequeue.worker.identity import Identity
from imagequeue.worker.inputs import Inputs, Room
from imagequeue.worker.life import JobLife
from imagequeue.worker.outbox import Outbox
from imagequeue.worker.overflow import Overflow
from imagequeue.worker.refusals import Refusals
from imagequeue.worker.reporting import Reporting
from imagequeue.worker.returns import Returns
from imagequeue.worker.sender import Sender
from imagequeue.worker.stored_answers import StoredAnswers
from imagequeue.worker.telling import Telling
from imagequeue.worker.upkeep import Upkeep
from imagequeue.worker.work import Parts


def engine_of(ground: Ground, identity: Identity, limits: EngineLimits, *, hinted: Callable[[], bool]) -> Engine:
    """Return what claims jobs and runs them. `hinted`: whether the server tells of new work by itself."""
    return Engine(
        life=job_life(ground),
        board=ground.board,
        health=ground.health,
        limits=limits,
        identity=identity,
        watch=ground.watch,
        take_in=taker(ground),
        pending=lambda: pending(ground.scripts, ground.board.queues),
        hinted=hinted,
    )


def upkeep_of(ground: Ground, identity: Identity, engine: Engine) -> Upkeep:
    """Return what looks after the queue, the pools and the connections while the engine runs."""
    opened = ground.opened
    return Upkeep(
        scripts=ground.scripts,
        board=ground.board,
        health=ground.health,
        clock=ground.clock,
        pings=(("ledger", opened.ledger.ping), ("store", opened.store.ping), ("queue", _ping(opened.redis))),
        worker=lambda: identity.claims.worker,
        wake=engine.wake,
        hint=engine.hint,
        stalled=opened.ledger.stalled,
        tick=lambda: _tick(ground, identity, engine),
    )


def discovery_of(ground: Ground) -> Discovery:
    """Return what asks providers for an organization's true limits."""
    return Discovery(
        transport=ground.opened.transport,
        scripts=ground.scripts,
        catalog=ground.catalog,
        orgs=ground.settings.orgs,
        clock=ground.clock,
    )


def outbox_of(ground: Ground) -> Outbox:
    """Return what sends webhooks."""
    seconds = ground.settings.webhook_timeout_seconds
    return Outbox(
        ledger=ground.opened.ledger,
        scripts=ground.scripts,
        sender=Sender(ground.opened.transport, ground.clock, timeout_seconds=seconds),
        configured=ground.settings.webhooks,
        clock=ground.clock,
        timeout_seconds=seconds,
    )


def reporting_of(ground: Ground, identity: Identity) -> Reporting:
    """Return what publishes this worker's figures."""
    return Reporting(
        scripts=ground.scripts,
        meter=ground.meter,
        ledger=ground.opened.ledger,
        board=ground.board,
        clock=ground.clock,
        worker=lambda: identity.claims.worker,
    )


def job_life(ground: Ground) -> JobLife:
    """Return what runs one claimed job."""
    settings, opened, board = ground.settings, ground.opened, ground.board
    announcer = Announcer(ground.scripts, opened.ledger, settings, ground.clock)
    telling = Telling(announcer, ground.health)
    returns = _returns(ground, telling)
    return JobLife(
        Parts(
            settings=settings,
            catalog=ground.catalog,
            ledger=opened.ledger,
            store=opened.store,
            caller=opened.caller,
            downloader=opened.downloader,
            inputs=Inputs(opened.store, opened.ledger, opened.downloader, Room()),
            returns=returns,
            refusals=Refusals(ground.scripts, ground.health, ground.clock, board.model_gone),
            telling=telling,
            health=ground.health,
            clock=ground.clock,
            pools=lambda: board.pools,
            overflow=Overflow(ground.catalog, board),
            gates=Gates(burst_seconds=settings.burst_seconds, health=ground.health),
            tell_sketch=functools.partial(publish, ground.scripts),
            answers=_stored_answers(ground, returns, announcer),
            hearing=Hearing(ground.scripts),
            watch=ground.watch,
        )
    )


def _returns(ground: Ground, telling: Telling) -> Returns:
    return Returns(
        scripts=ground.scripts,
        ledger=ground.opened.ledger,
        catalog=ground.catalog,
        settings=ground.settings,
        health=ground.health,
        clock=ground.clock,
        is_served=ground.board.is_served,
        telling=telling,
    )


def _stored_answers(ground: Ground, returns: Returns, announcer: Announcer) -> StoredAnswers:
    return StoredAnswers(
        scripts=ground.scripts,
        ledger=ground.opened.ledger,
        store=ground.opened.store,
        returns=returns,
        announcer=announcer,
        catalog=ground.catalog,
        health=ground.health,
        clock=ground.clock,
    )


def taker(ground: Ground) -> Callable[[str], Awaitable[int]]:
    """Return what takes in ids that RQ's own clients put on a queue; it returns how many it adopted."""
    settings, catalog = ground.settings, ground.catalog

    def check(job: Job, model: str) -> tuple[Job, int]:
        admitted = admit(job, catalog, preference=(model,), served=lambda _: True, webhooks=settings.webhooks)
        return admitted.job, admitted.tokens

    def part(job: Job) -> Flight | None:
        return flight_of(job.model_copy(update={"cache": job.cache or settings.cache}), catalog, settings.cache_scope)

    async def take(queue: str) -> int:
        taken = await take_in(
            ground.scripts,
            queue,
            check,
            ttl_seconds=settings.result_ttl_seconds,
            flight_of=part,
            overflow_of=lambda job: ways_out(job, catalog),
        )
        return taken.adopted

    return take


def _ping(redis: Redis) -> Callable[[], Awaitable[None]]:
    async def ping() -> None:
        await redis.ping()

    return ping


def _tick(ground: Ground, identity: Identity, engine: Engine) -> None:
    state = "busy" if engine.flight.tasks else "idle"
    identity.keeper.tick(state=state, queues=ground.board.queues, note=ground.health.note)
