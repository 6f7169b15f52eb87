"""Reads what queued jobs meet: pools, held tenants, workers, and places in line."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from imagequeue.config.catalog import Catalog
from imagequeue.config.job import PRIORITIES, queue_name
from imagequeue.config.settings import Settings
from imagequeue.queue import pools, tenants
from imagequeue.queue.ceilings import Pool, pools_of
from imagequeue.queue.record import JobRecord
from imagequeue.queue.reported import read_reported
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.switches import suspended_queues
from imagequeue.queue.text import text
from imagequeue.queue.waits import Place, Scene

TENANTS_COUNTED_MAX: Final = 1_000
"""Lines of one queue that are looked at to foretell a start; the rest would change little."""


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
        workers=int(workers),
    )


async def read_places(scripts: Scripts, records: Sequence[JobRecord], scene: Scene) -> dict[str, Place]:
    """Return where queued jobs stand; those that are not in a line yet are left out."""
    lines = await _line_lengths(scripts, {record.queue for record in records})
    before = await _lengths_before(scripts, {record.queue for record in records}, scene)
    pipe = scripts.redis.pipeline(transaction=False)
    for record in records:
        pipe.zrank(_line(scripts, record.queue, record.tenant), record.id)
    ranks = await pipe.execute() if records else []
    places = {}
    for record, rank in zip(records, ranks, strict=True):
        if rank is not None:
            lengths = lines[record.queue]
            ahead = before[record.queue] + _ahead_in_queue(rank, record.tenant, lengths)
            places[record.id] = Place(rank=rank, length=lengths.get(record.tenant, rank + 1), ahead=ahead)
    return places


def _ahead_in_queue(rank: int, tenant: str, lengths: Mapping[str, int]) -> int:
    """How many of a queue are served before: tenants take turns, so others get as many as this one had, or all."""
    return rank + sum(min(length, rank + 1) for other, length in lengths.items() if other != tenant)


async def _line_lengths(scripts: Scripts, queues: set[str]) -> dict[str, dict[str, int]]:
    """How many jobs each tenant has in each queue."""
    lengths: dict[str, dict[str, int]] = {}
    for queue in queues:
        names = await scripts.redis.zrange(f"{scripts.keys.own}:tenants:{queue}", 0, TENANTS_COUNTED_MAX - 1)
        waiting = [text(name) for name in names if isinstance(name, bytes | str)]
        pipe = scripts.redis.pipeline(transaction=False)
        for tenant in waiting:
            pipe.zcard(_line(scripts, queue, tenant))
        counts = await pipe.execute() if waiting else []
        lengths[queue] = dict(zip(waiting, map(int, counts), strict=True))
    return lengths


async def _lengths_before(scripts: Scripts, queues: set[str], scene: Scene) -> dict[str, int]:
    """How many jobs stand in queues of higher priority that the same pools serve."""
    higher = {queue: _higher_queues(queue, scene.pools_for(queue.rpartition(".")[0])) for queue in queues}
    names = sorted({name for group in higher.values() for name in group})
    pipe = scripts.redis.pipeline(transaction=False)
    for name in names:
        pipe.llen(scripts.keys.queue(name))
    counts = dict(zip(names, await pipe.execute() if names else [], strict=True))
    return {queue: sum(int(counts[name]) for name in group) for queue, group in higher.items()}


def _higher_queues(queue: str, serving: Sequence[Pool]) -> set[str]:
    priority = queue.rpartition(".")[2]
    above = PRIORITIES[: PRIORITIES.index(priority)] if priority in PRIORITIES else ()
    return {queue_name(model, name) for pool in serving for model in pool.models for name in above}


def _line(scripts: Scripts, queue: str, tenant: str) -> str:
    return f"{scripts.keys.own}:line:{queue}:{tenant}"
