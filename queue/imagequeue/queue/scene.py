"""Reads what queued jobs meet: pools, held tenants, workers."""

import asyncio
from datetime import UTC, datetime

from imagequeue.config.catalog import Catalog
from imagequeue.config.settings import Settings
from imagequeue.queue import pools, tenants
from imagequeue.queue.ceilings import pools_of
from imagequeue.queue.reported import read_reported
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.switches import suspended_queues
from imagequeue.queue.waits import Scene


async def read_scene(scripts: Scripts, settings: Settings, catalog: Catalog) -> Scene:
    """Return what queued jobs meet now, by the server's clock."""
    redis, keys = scripts.redis, scripts.keys
    reported, suspended, workers, holds, switched = await asyncio.gather(
        read_reported(scripts),
        redis.exists(keys.suspended),
        redis.zcard(f"{keys.own}:workers"),
        tenants.held(scripts),
        suspended_queues(scripts),
    )
    served = pools_of(catalog, settings.orgs, reported.gone, reported.limits, reported.lowered)
    return Scene(
        now=datetime.fromtimestamp(await pools.server_now_us(scripts) / 1_000_000, UTC),
        pools=served,
        pace_fraction=settings.pace_fraction,
        states=await pools.states(scripts, tuple(pool.name for pool in served)),
        holds=holds,
        all_suspended=bool(suspended),
        suspended_queues=switched,
        share_default=settings.share_default,
        share_low=settings.share_low,
        tenant_weights=settings.tenant_weights,
        workers=int(workers),
        gone=reported.gone,
    )
