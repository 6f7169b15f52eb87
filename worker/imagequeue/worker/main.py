"""The worker's composition root: builds every part from the settings, runs one engine, takes it apart again."""

import asyncio
import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
import uvloop

from imagequeue.config.catalog import Catalog, load_catalog
from imagequeue.config.embedded import ensure_server
from imagequeue.config.errors import ConfigError, QueueUnavailable
from imagequeue.config.settings import Settings
from imagequeue.config.tracing import start_tracing
from imagequeue.queue.scripts import TROUBLE, Scripts, unavailable
from imagequeue.worker import crashpoint
from imagequeue.worker.assembly import discovery_of, engine_of, outbox_of, reporting_of, upkeep_of
from imagequeue.worker.background import Loop, background, keep_running
from imagequeue.worker.board import Board
from imagequeue.worker.engine import Engine, EngineLimits
from imagequeue.worker.ground import Ground, ground_of
from imagequeue.worker.hints import Hints
from imagequeue.worker.identity import Identity
from imagequeue.worker.opened import Opened, open_parts, sweep
from imagequeue.worker.stopping import StopRequests, end_tasks
from imagequeue.worker.upkeep import Upkeep

BURST_PARTS_PER_SLEEP = 2
"""Starts are gathered for half of the burst, so that the other half remains for a late wake-up."""

GC_THRESHOLDS = (20_000, 20, 50)
"""Thousands of calls in flight are long-lived objects; looking through them at every turn costs a tenth of the CPU."""

REGISTER_SECONDS_MAX = 30.0
"""How long a worker that starts waits for a Redis server that does not answer; then it ends, and says so."""
REGISTER_AGAIN_SECONDS = 2.0

WEBHOOK_SECONDS_AT_END = 5.0
"""How long a worker that ends waits for webhooks on their way; what is left, others send again."""

log = structlog.get_logger("imagequeue.worker")


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """What the command line decides. `queues` empty: all."""

    max_in_flight: int | None = None
    queues: tuple[str, ...] = ()
    burst: bool = False


def run_worker(settings: Settings, options: WorkerOptions) -> None:
    """Run one engine in this process until SIGTERM or SIGINT, or in burst mode until all is done."""
    if not settings.orgs:
        raise ConfigError("IMAGEQUEUE_ORGS: no organization is configured; set OPENAI_API_KEY or see docs/configure.md")
    if crashpoint.VARIABLE in os.environ:
        crashpoint.arm(os.environ[crashpoint.VARIABLE])
    if trouble := start_tracing("imagequeue-worker", os.environ):
        log.warning(trouble)
    uvloop.run(_work(settings, options))


async def _work(settings: Settings, options: WorkerOptions) -> None:
    stopping = StopRequests()
    stopping.listen()
    catalog = load_catalog(settings.catalog)
    url = settings.redis_url.get_secret_value() if settings.redis_url else await _embedded(settings)
    async with open_parts(settings, url) as opened:
        await _run(settings, options, catalog, url, opened, stopping)


async def _embedded(settings: Settings) -> str:
    return await asyncio.to_thread(ensure_server, settings.data_dir)


async def _run(
    settings: Settings, options: WorkerOptions, catalog: Catalog, url: str, opened: Opened, stopping: StopRequests
) -> None:
    ground = ground_of(settings, catalog, opened, only=options.queues)
    identity = Identity(ground.scripts, url, lease_seconds=settings.lease_seconds)
    engine = engine_of(ground, identity, _limits(settings, options), hinted=lambda: hints.working)
    identity.on_gone = engine.gone
    stopping.hand_to(engine.stop)
    upkeep = upkeep_of(ground, identity, engine)
    hints = Hints(opened.hint_redis, _hinting(settings), _hinted(settings, engine, upkeep))
    await sweep(opened.store)
    outbox = outbox_of(ground)
    own = {
        "hints": hints.listen,
        "limits": discovery_of(ground).run,
        "webhooks": outbox.run,
        "report": reporting_of(ground, identity).run,
    }
    await _live(ground, identity, engine, upkeep, {**own, **background(ground)})
    if options.burst:
        await outbox.flush()
    await outbox.finish(WEBHOOK_SECONDS_AT_END)


async def _live(ground: Ground, identity: Identity, engine: Engine, upkeep: Upkeep, beside: Mapping[str, Loop]) -> None:
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    board = ground.board
    if not await _register(board, identity, ground.scripts, engine):
        return
    log.info("worker started", worker=identity.claims.worker, queues=len(board.queues), pools=list(board.pools))
    loops = [*upkeep.start(), *keep_running(beside)]
    try:
        await engine.run()
    finally:
        await end_tasks(loops)
        identity.keeper.stop()
        await _retire(identity, board)


async def _register(board: Board, identity: Identity, scripts: Scripts, engine: Engine) -> bool:
    """Look up the board and take a name; False when told to stop before. QueueUnavailable when that takes too long.

    Tried again for a while: a server that is just starting again is no reason to end.
    """
    until = time.monotonic() + REGISTER_SECONDS_MAX
    while not engine.is_stopping:
        try:
            await board.refresh(scripts)
            await identity.born(board.queues)
        except (QueueUnavailable, *TROUBLE) as error:
            problem = error if isinstance(error, QueueUnavailable) else unavailable(error)
            if time.monotonic() >= until:
                raise problem from error
            log.warning("waiting for the server", error=str(problem), seconds_max=REGISTER_SECONDS_MAX)
            await asyncio.sleep(REGISTER_AGAIN_SECONDS)
        else:
            return True
    return False


async def _retire(identity: Identity, board: Board) -> None:
    worker = identity.claims.worker
    try:
        returned = await identity.claims.retire(board.queues)
    except QueueUnavailable as error:  # the lease runs out by itself, and others take what is left
        log.warning("worker stopped without the server", worker=worker, error=str(error))
    else:
        log.info("worker stopped", worker=worker, returned=returned)


def _limits(settings: Settings, options: WorkerOptions) -> EngineLimits:
    return EngineLimits(
        max_in_flight=options.max_in_flight or settings.max_in_flight,
        drain_seconds=settings.drain_seconds,
        pace_sleep_seconds=settings.burst_seconds / BURST_PARTS_PER_SLEEP,
        burst=options.burst,
    )


def _hinting(settings: Settings) -> tuple[str, ...]:
    """What the keys begin with whose changes mean work: queues, and jobs that a stored result answers."""
    return f"{settings.keys.rq}:queue", f"{settings.keys.own}:answered"


def _hinted(settings: Settings, engine: Engine, upkeep: Upkeep) -> Callable[[Sequence[bytes]], None]:
    new_queue = settings.keys.queues.encode()

    def hinted(keys: Sequence[bytes]) -> None:
        if new_queue in keys:
            upkeep.queues_changed()
        else:
            engine.hint()

    return hinted
