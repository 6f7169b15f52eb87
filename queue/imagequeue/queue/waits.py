"""Why a queued job has not started yet, and about when it will. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from imagequeue.queue import budget
from imagequeue.queue.ceilings import Pool, unit_us
from imagequeue.queue.pools import PoolState
from imagequeue.queue.record import JobRecord
from imagequeue.queue.switches import ALL
from imagequeue.queue.tenants import TenantHold
from imagequeue.queue.views import Reason, Waiting

FORECAST: Final = timedelta(days=365)
"""Beyond this no start is foretold."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What queued jobs meet at one moment."""

    now: datetime
    pools: tuple[Pool, ...]
    pace_fraction: float
    states: Mapping[str, PoolState] = field(default_factory=dict)
    holds: Mapping[str, TenantHold] = field(default_factory=dict)
    all_suspended: bool = False
    suspended_queues: Mapping[str, str] = field(default_factory=dict)
    workers: int = 0
    share_default: float = 0.05
    share_low: float = 0.01
    tenant_weights: Mapping[str, float] = field(default_factory=dict)

    def pools_for(self, model: str) -> list[Pool]:
        """Return the pools that serve a model."""
        return [pool for pool in self.pools if model in pool.models]

    def state(self, pool: Pool) -> PoolState:
        """Return the state of a pool; one never touched is as new."""
        return self.states.get(pool.name) or PoolState(name=pool.name)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job stands: `rank` (0 first) of `length` in its line, and how many jobs are served before it in all.

    `ahead_by_share`: starts after which the share that its priority is guaranteed brings its turn, None for none.
    `arriving_per_s`: jobs of higher priority that join a second; they too are served before it.
    """

    rank: int
    length: int
    ahead: int
    ahead_by_share: float | None = None
    arriving_per_s: float = 0.0


def why_queued(record: JobRecord, place: Place | None, scene: Scene) -> Waiting:
    """Return why a queued job waits: what holds it back if anything does, else its place in line."""
    blocked = _blocked(record, scene)
    if blocked is not None:
        return blocked
    serving = [pool for pool in scene.pools_for(record.model) if not scene.state(pool).suspended]
    paused_until = _paused_until(serving, scene)
    start = _start(record, place, serving, scene, paused_until or scene.now)
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
    if serving and all(scene.state(pool).suspended for pool in serving):
        return _suspended([scene.state(pool) for pool in serving])
    if scene.workers == 0:
        return Waiting(reason="paused", until=None, detail="no worker is running; start one with `imagequeue worker`")
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


def _start(
    record: JobRecord, place: Place | None, serving: Sequence[Pool], scene: Scene, earliest: datetime
) -> datetime | None:
    """About when a job starts if those before it are like it; None when no pace is known."""
    if place is None or not serving:
        return None
    rates = [_jobs_per_us(record, pool, scene) for pool in serving]
    if float("inf") in rates:
        return earliest
    wait = timedelta(microseconds=min(_wait_us(place, sum(rates)), FORECAST / timedelta(microseconds=1)))
    return None if wait >= FORECAST else earliest + wait


def _wait_us(place: Place, jobs_per_us: float) -> float:
    """How long those before a job take, with those that still join them; at most until its share brings its turn."""
    left_per_us = jobs_per_us - place.arriving_per_s / 1_000_000
    in_turn = place.ahead / left_per_us if left_per_us > 0 else float("inf")
    if place.ahead_by_share is None:
        return in_turn if left_per_us > 0 else place.ahead / jobs_per_us
    return min(in_turn, place.ahead_by_share / jobs_per_us)


def _jobs_per_us(record: JobRecord, pool: Pool, scene: Scene) -> float:
    images_us = record.n * unit_us(pool.limits.images_per_minute, scene.pace_fraction)
    tokens_us = record.tokens * unit_us(pool.limits.tokens_per_minute, scene.pace_fraction)
    slowest_us = max(images_us, tokens_us) / scene.state(pool).factor
    measured_us = record.n * 1_000_000 / served if (served := scene.state(pool).served_per_s) > 0 else 0.0
    slowest_us = max(slowest_us, measured_us)
    return 1 / slowest_us if slowest_us > 0 else float("inf")


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)
