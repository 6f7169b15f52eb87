"""Reads what queued jobs meet: pools, held tenants, workers."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from imagequeue.config.catalog import Catalog
from imagequeue.config.settings import Settings
from imagequeue.queue import pools, tenants
from imagequeue.queue.ceilings import pools_of
from imagequeue.queue.reported import read_reported
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.switches import suspended_queues
from imagequeue.queue.text import text
from imagequeue.queue.waits import Scene

WORKERS_LOOKED_AT_MAX: Final = 1_000


async def read_scene(scripts: Scripts, settings: Settings, catalog: Catalog) -> Scene:
    """Return what queued jobs meet now, by the server's clock."""
    redis, keys = scripts.redis, scripts.keys
    now_us = await pools.server_now_us(scripts)
    reported, suspended, workers, holds, switched = await asyncio.gather(
        read_reported(scripts),
        redis.exists(keys.suspended),
        _notes(scripts, now_us),
        tenants.held(scripts),
        suspended_queues(scripts),
    )
    served = pools_of(catalog, settings.orgs, reported.gone, reported.limits, reported.lowered)
    return Scene(
        now=datetime.fromtimestamp(now_us / 1_000_000, UTC),
        pools=served,
        pace_fraction=settings.pace_fraction,
        states=await pools.states(scripts, tuple(pool.name for pool in served)),
        holds=holds,
        all_suspended=bool(suspended),
        suspended_queues=switched,
        share_default=settings.share_default,
        share_low=settings.share_low,
        tenant_weights=settings.tenant_weights,
        workers=len(workers),
        hindered=bool(workers) and all(workers),
        gone=reported.gone,
    )


async def _notes(scripts: Scripts, now_us: int) -> list[str]:
    """What keeps each living worker from claiming, empty for one that nothing does; a lease that ran out is no life."""
    leases = f"{scripts.keys.own}:workers"
    names = await scripts.redis.zrangebyscore(leases, now_us, "+inf", start=0, num=WORKERS_LOOKED_AT_MAX)
    pipe = scripts.redis.pipeline(transaction=False)
    for name in names:
        if isinstance(name, bytes | str):
            pipe.hget(scripts.keys.worker(text(name)), "iq_note")
    return [text(note or b"") for note in await pipe.execute()]
