"""Why a queued job has not started yet, and about when it will. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final

from imagequeue.config.job import PRIORITIES
from imagequeue.queue import budget
from imagequeue.queue.ceilings import Pool, unit_us
from imagequeue.queue.forecast import Rival, Stream, seconds_until, slowed_seconds
from imagequeue.queue.pools import PoolState
from imagequeue.queue.record import JobRecord
from imagequeue.queue.reported import Gone
from imagequeue.queue.switches import ALL
from imagequeue.queue.tenants import TenantHold
from imagequeue.queue.views import Reason, Waiting

FORECAST: Final = timedelta(days=365)
"""Beyond this no start is foretold."""
PROBE: Final = timedelta(seconds=1)
"""After a pause one job goes first, and the others follow so much later (permit.lua)."""
SERVED_SHARE_MIN: Final = 0.95
"""A pool that started less than this of its pace, with jobs waiting, is believed; the rest is how starts fall."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What queued jobs meet at one moment. `hindered`: something keeps every worker from claiming."""

    now: datetime
    pools: tuple[Pool, ...]
    pace_fraction: float
    states: Mapping[str, PoolState] = field(default_factory=dict)
    holds: Mapping[str, TenantHold] = field(default_factory=dict)
    all_suspended: bool = False
    suspended_queues: Mapping[str, str] = field(default_factory=dict)
    workers: int = 0
    hindered: bool = False
    share_default: float = 0.05
    share_low: float = 0.01
    tenant_weights: Mapping[str, float] = field(default_factory=dict)
    gone: Mapping[tuple[str, str], Gone] = field(default_factory=dict)

    def pools_for(self, model: str) -> list[Pool]:
        """Return the pools that serve a model."""
        return [pool for pool in self.pools if model in pool.models]

    def state(self, pool: Pool) -> PoolState:
        """Return the state of a pool; one never touched is as new."""
        return self.states.get(pool.name) or PoolState(name=pool.name)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job stands: `rank` (0 first) of `length` in its line, and the images that are served before it.

    Those are `own` of its line, and of `rivals` and `streams` what forecast.py makes of them; `mine` is the stream of
    its priority. `tokens_per_image` is the mean of the jobs of its queue.
    """

    rank: int
    length: int
    own: float
    rivals: tuple[Rival, ...] = ()
    streams: tuple[Stream, ...] = (Stream(),)
    mine: int = 0
    tokens_per_image: float = 0.0


def why_queued(record: JobRecord, place: Place | None, scene: Scene) -> Waiting:
    """Return why a queued job waits: what holds it back if anything does, else its place in line."""
    blocked = _blocked(record, scene)
    if blocked is not None:
        return blocked
    serving = [pool for pool in scene.pools_for(record.model) if not scene.state(pool).suspended]
    paused_until = _paused_until(serving, scene)
    start = _start(place, serving, scene, scene.now if paused_until is None else paused_until + _probe(place))
    where = "about to start" if place is None else f"place {place.rank + 1:,} of {place.length:,} in {record.queue}"
    if paused_until is not None:
        refused = scene.state(serving[0]).pause_reason or "the provider asked to wait"
        return Waiting(reason="paused", until=start or paused_until, detail=f"{where}; {refused}")
    return Waiting(reason="pace", until=start, detail=where)


def _blocked(record: JobRecord, scene: Scene) -> Waiting | None:
    """What keeps a job from starting whatever its place is."""
    if scene.all_suspended:
        why = scene.suspended_queues.get(ALL, "rq suspend")
        return Waiting(reason="paused", until=None, detail=f"all queues are suspended: {why}")
    if record.queue in scene.suspended_queues:
        why = scene.suspended_queues[record.queue]
        return Waiting(reason="paused", until=None, detail=f"queue {record.queue} is suspended: {why}")
    held = scene.holds.get(record.tenant)
    if held is not None:
        until = None if held.until is None else datetime.fromtimestamp(held.until, UTC)
        return Waiting(reason=_reason(held.reason), until=until, detail=held.detail)
    serving = scene.pools_for(record.model)
    nobody = _nobody_serves(record, scene)
    if nobody is not None:
        return Waiting(reason="paused", until=None, detail=nobody)
    if serving and all(scene.state(pool).suspended for pool in serving):
        return _suspended([scene.state(pool) for pool in serving])
    if scene.workers == 0:
        return Waiting(reason="paused", until=None, detail="no worker is running; start one with `imagequeue worker`")
    if scene.hindered:
        why = "something keeps every worker from starting calls; `imagequeue status` says what"
        return Waiting(reason="paused", until=None, detail=why)
    return None


def _nobody_serves(record: JobRecord, scene: Scene) -> str | None:
    """Why a job never starts on the queue where an app put it. Without organizations nobody knows what is served."""
    if record.priority not in PRIORITIES:
        return f"nobody serves {record.queue}: a queue is MODEL.PRIORITY, with {', '.join(PRIORITIES)}"
    if scene.pools and not scene.pools_for(record.model):
        return f"no organization that is configured here serves {record.model} now"
    return None


def _reason(word: str) -> Reason:
    return "budget" if word == "budget" else "paused"


def _suspended(states: Sequence[PoolState]) -> Waiting:
    """Why none of the pools starts anything: what ends first."""
    first = min(states, key=lambda state: (_suspension_ends(state) is None, _suspension_ends(state) or _moment(0)))
    short = budget.read(first.suspended)
    return Waiting(
        reason="paused" if short is None else "budget",
        until=_suspension_ends(first),
        detail=f"{first.name} is suspended: {first.suspended if short is None else short.detail}",
        to_tenant=None if short is None else f"{first.name} is suspended: {budget.TO_TENANT}",
    )


def _suspension_ends(state: PoolState) -> datetime | None:
    short = budget.read(state.suspended)
    if short is not None:
        return short.until
    return _moment(state.suspended_until_us) if state.suspended_until_us else None


def _paused_until(serving: Sequence[Pool], scene: Scene) -> datetime | None:
    """When the first of the pools starts again; None when one of them is not paused."""
    ends = [_moment(scene.state(pool).paused_until_us) for pool in serving]
    return min(ends) if ends and min(ends) > scene.now else None


def _probe(place: Place | None) -> timedelta:
    first = place is not None and place.own == 0 and not place.rivals and place.mine == 0
    return timedelta() if first else PROBE


def _start(place: Place | None, serving: Sequence[Pool], scene: Scene, earliest: datetime) -> datetime | None:
    """About when a job starts; None when no pace is known."""
    if place is None or not serving:
        return None
    paces = [_pace(place, pool, scene) for pool in serving]
    full, now = (sum(rates) for rates in zip(*paces, strict=True))
    if full == inf:
        return earliest
    work_seconds = seconds_until(place.own, place.rivals, place.streams, place.mine, full)
    recovers = not any(scene.state(pool).stays_slow for pool in serving)
    seconds = slowed_seconds(work_seconds, now / full, recovers=recovers)
    return None if seconds >= FORECAST.total_seconds() else earliest + timedelta(seconds=seconds)


def _pace(place: Place, pool: Pool, scene: Scene) -> tuple[float, float]:
    """Images a second that a pool starts at its full pace, and at present; a measured rate counts if it is less."""
    image_us = unit_us(pool.limits.images_per_minute, scene.pace_fraction)
    tokens_us = place.tokens_per_image * unit_us(pool.limits.tokens_per_minute, scene.pace_fraction)
    slowest_us = max(image_us, tokens_us)
    state = scene.state(pool)
    full = 1_000_000 / slowest_us if slowest_us > 0 else inf
    if 0 < state.served_per_s < SERVED_SHARE_MIN * full:
        full = state.served_per_s
    return full, full * state.factor


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)
