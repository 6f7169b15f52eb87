"""Reads the state of everything: a bounded number of commands for each queue, pool and worker."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from redis.exceptions import RedisError

from imagequeue.config.catalog import Catalog
from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.job import PRIORITIES
from imagequeue.config.settings import Settings
from imagequeue.queue import budget
from imagequeue.queue import pools as pool_states
from imagequeue.queue.ceilings import Pool
from imagequeue.queue.image_sources import ImageSources, read_sources
from imagequeue.queue.pools import PoolState, pool_name
from imagequeue.queue.scene import read_scene
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.server import trouble
from imagequeue.queue.status import SILENT, HoldStatus, PoolStatus, QueueStatus, Status, WorkerStatus, totals_of
from imagequeue.queue.switches import ALL
from imagequeue.queue.tenants import TenantHold
from imagequeue.queue.text import text, whole
from imagequeue.queue.waits import Scene

TENANTS_LOOKED_AT_MAX: Final = 1_000
WORKERS_MAX: Final = 1_000
SHARE_WINDOW_SECONDS: Final = 60.0
SAMPLES_MAX: Final = 600

Sample = tuple[float, dict[str, int]]
"""When, in monotonic seconds, and the images each pool had started by then."""


class StatusReader:
    """Reads the status, again and again if need be: shares in use are known from the second look on."""

    def __init__(self, scripts: Scripts, settings: Settings, catalog: Catalog) -> None:
        self._scripts = scripts
        self._settings = settings
        self._catalog = catalog
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)

    async def read(self) -> Status:
        """Return the status now; QueueUnavailable when Redis does not answer."""
        try:
            return await self._read()
        except RedisError as error:
            raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error

    async def _read(self) -> Status:
        scene = await read_scene(self._scripts, self._settings, self._catalog)
        states = {**await pool_states.states(self._scripts), **scene.states}
        rates = self._rates({name: state.starts for name, state in states.items()})
        queues = await _queues(self._scripts, scene)
        sources = await read_sources(self._scripts, scene.now)
        return Status(
            at=scene.now,
            suspended=scene.all_suspended,
            totals=totals_of(queues),
            queues=queues,
            pools=_with_cache(self._pools(scene, states, rates), sources),
            workers=_with_silent(await _workers(self._scripts), scene.now),
            held_tenants=tuple(map(_held, scene.holds.values())),
            cache=sources.status(),
            suspended_reason=scene.suspended_queues.get(ALL, "") if scene.all_suspended else "",
            server=trouble(await self._scripts.redis.info()),
        )

    def _pools(self, scene: Scene, states: Mapping[str, PoolState], rates: Mapping[str, float]) -> Sequence[PoolStatus]:
        configured = {pool.name: pool for pool in scene.pools}
        unserved = _unserved(scene, self._catalog)
        names = dict.fromkeys([*configured, *sorted({*states, *unserved})])
        state = {name: states.get(name) or PoolState(name=name) for name in names}
        fraction, now_us = self._settings.pace_fraction, scene.now.timestamp() * 1_000_000
        found = [_pool(name, configured.get(name), state[name], rates.get(name), fraction, now_us) for name in names]
        return [_without(pool, unserved[pool.name]) if pool.name in unserved else pool for pool in found]

    def _rates(self, starts: dict[str, int]) -> dict[str, float]:
        """Images a minute by pool over the samples of the last minute; empty at the first look."""
        now = time.monotonic()
        while len(self._samples) > 1 and now - self._samples[0][0] > SHARE_WINDOW_SECONDS:
            self._samples.popleft()
        self._samples.append((now, starts))
        then, before = self._samples[0]
        if now <= then:
            return {}
        return {name: (count - before.get(name, 0)) * 60 / (now - then) for name, count in starts.items()}


async def _queues(scripts: Scripts, scene: Scene) -> tuple[QueueStatus, ...]:
    prefix = scripts.keys.queue("")
    names = [text(name).removeprefix(prefix) for name in await scripts.redis.smembers(scripts.keys.queues)]
    found = [await _queue(scripts, name, scene) for name in names]
    return tuple(sorted(found, key=_by_model_and_priority))


def _by_model_and_priority(queue: QueueStatus) -> tuple[str, int]:
    rank = PRIORITIES.index(queue.priority) if queue.priority in PRIORITIES else len(PRIORITIES)
    return queue.model, rank


async def _queue(scripts: Scripts, name: str, scene: Scene) -> QueueStatus:
    keys = scripts.keys
    now_seconds = scene.now.timestamp()
    pipe = scripts.redis.pipeline(transaction=False)
    pipe.llen(keys.queue(name))
    pipe.zcard(keys.registry("wip", name))
    pipe.zcard(keys.registry("scheduled", name))
    pipe.zcount(keys.registry("deferred", name), 0, "+inf")
    pipe.zcount(keys.registry("deferred", name), "-inf", "(0")  # see flight.lua
    pipe.zcount(keys.registry("failed", name), now_seconds, "+inf")  # the rest has outlived its time
    queued, running, waiting, parked, joined, failed = await pipe.execute()
    oldest_us = await _oldest_us(scripts, name, scene) if queued else None
    model, _, priority = name.rpartition(".")
    return QueueStatus(
        name=name,
        model=model,
        priority=priority,
        queued=queued,
        running=running,
        waiting=waiting,
        parked=parked,
        failed=failed,
        oldest_s=None if oldest_us is None else round(max(now_seconds - oldest_us / 1_000_000, 0.0), 3),
        served=priority in PRIORITIES and bool(scene.pools_for(model)),
        joined=joined,
        suspended=scene.suspended_queues.get(name, ""),
    )


async def _oldest_us(scripts: Scripts, queue: str, scene: Scene) -> float | None:
    """When the job that waits longest was enqueued; held tenants' jobs count too."""
    found = await scripts.run("oldest", [queue, TENANTS_LOOKED_AT_MAX, *scene.holds])
    return float(found) if found else None


def _unserved(scene: Scene, catalog: Catalog) -> dict[str, str]:
    """What each pool's provider said it does not serve."""
    found: dict[str, list[str]] = {}
    for (org, name), gone in sorted(scene.gone.items()):
        if (model := catalog.models.get(name)) is not None:
            words = f"{name}, asked for again from {gone.until:%H:%M:%S} UTC on: {gone.reason}"
            found.setdefault(pool_name(org, model.limit_group), []).append(words)
    return {pool: "; ".join(words) for pool, words in found.items()}


def _without(pool: PoolStatus, unserved: str) -> PoolStatus:
    return replace(pool, unserved=unserved, source=pool.source if pool.models else "no model of it is served now")


def _with_cache(pools: Sequence[PoolStatus], sources: ImageSources) -> tuple[PoolStatus, ...]:
    return tuple(
        replace(pool, effective_images_per_minute=sources.effective(pool.images_per_minute, pool.models))
        for pool in pools
    )


def _pool(
    name: str, pool: Pool | None, state: PoolState, rate: float | None, fraction: float, now_us: float
) -> PoolStatus:
    ceiling = pool.limits.images_per_minute if pool else None
    short = budget.read(state.suspended)
    ends = _moment(state.suspended_until_us) if state.suspended and state.suspended_until_us else None
    return PoolStatus(
        name=name,
        org=name.partition("|")[0],
        models=pool.models if pool else (),
        images_per_minute=ceiling,
        tokens_per_minute=pool.limits.tokens_per_minute if pool else None,
        source=pool.limits.source if pool else "configured elsewhere",
        pace_images_per_minute=None if ceiling is None else round(ceiling * fraction * state.factor, 3),
        factor=round(state.factor, 4),
        used_share=None if rate is None or not ceiling else round(rate / ceiling, 4),
        paused_until=_moment(state.paused_until_us) if state.paused_until_us > now_us else None,
        pause_reason=state.pause_reason if state.paused_until_us > now_us else "",
        suspended=state.suspended if short is None else budget.worded(replace(short, until=None)),
        suspended_until=ends if short is None else short.until,
        images_started=state.starts,
        calls_refused=state.refused,
        lowered=_lowered(pool, state),
        trouble=state.trouble,
    )


def _lowered(pool: Pool | None, state: PoolState) -> str:
    why = [pool.lowered] if pool and pool.lowered else []
    if state.factor < 1:
        why.append(f"pace at {state.factor:.0%} for some seconds after {state.slowed or 'refusals'}")
    return "; ".join(why)


async def _workers(scripts: Scripts) -> tuple[WorkerStatus, ...]:
    redis, keys = scripts.redis, scripts.keys
    rows = await redis.zrange(f"{keys.own}:workers", 0, WORKERS_MAX - 1, withscores=True)
    leases = {text(row[0]): float(row[1]) for row in rows if isinstance(row, tuple | list)}
    pipe = redis.pipeline(transaction=False)
    for name in leases:
        pipe.hmget(keys.worker(name), ("hostname", "pid", "state", "iq_note"))
        pipe.hlen(f"{keys.own}:claims:{name}")
    answers: Sequence[list[bytes | None] | int] = await pipe.execute() if leases else []
    facts, counts = answers[0::2], answers[1::2]
    return tuple(
        _worker(name, lease, fact, count)
        for (name, lease), fact, count in zip(leases.items(), facts, counts, strict=True)
        if isinstance(fact, list) and isinstance(count, int)
    )


def _with_silent(workers: Sequence[WorkerStatus], now: datetime) -> tuple[WorkerStatus, ...]:
    return tuple(replace(one, state=SILENT) if one.lease_until <= now else one for one in workers)


def _worker(name: str, lease_us: float, facts: Sequence[bytes | None], in_flight: int) -> WorkerStatus:
    host, pid, state, note = (text(value or b"") for value in facts)
    return WorkerStatus(
        name=name,
        host=host,
        pid=whole(pid),
        state=state,
        note=note,
        in_flight=in_flight,
        lease_until=_moment(lease_us),
    )


def _held(hold: TenantHold) -> HoldStatus:
    until = None if hold.until is None else datetime.fromtimestamp(hold.until, UTC)
    return HoldStatus(tenant=hold.tenant, reason=hold.reason, detail=hold.detail, until=until)


def _moment(us: float) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)
