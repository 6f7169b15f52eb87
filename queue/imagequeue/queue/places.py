"""Where queued jobs stand: what is served before them, by turns of tenants, shares of priorities, and arrivals."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagequeue.config.job import PRIORITIES, queue_name
from imagequeue.queue.claims import ClaimPlan
from imagequeue.queue.record import JobRecord
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text
from imagequeue.queue.waits import Place, Scene

TENANTS_COUNTED_MAX: Final = 1_000
"""Lines of one queue that are looked at to foretell a start; the rest would change little."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One tenant's line in a queue: when its next turn is, in virtual time, and how many jobs wait."""

    at: float
    length: int


@dataclass(frozen=True, kw_only=True)
class Load:
    """One queue: jobs that wait in it, and how many a second join it."""

    queued: int = 0
    arriving: float = 0.0


async def sample_flow(scripts: Scripts, plan: ClaimPlan) -> None:
    """Measure how many jobs join each queue, and how many images each busy pool starts; any worker may ask any time."""
    pools = {pool.name: pool.queues() for pool in plan.pools if pool.queues()}
    if pools:
        await scripts.run("flow", [json.dumps({"queues": plan.queues(), "pools": pools})])


async def read_places(scripts: Scripts, records: Sequence[JobRecord], scene: Scene) -> dict[str, Place]:
    """Return where queued jobs stand; those that are not in a line yet are left out."""
    queues = {record.queue for record in records}
    turns = {queue: await _turns(scripts, queue) for queue in queues}
    loads = await _loads(scripts, {name for queue in queues for name in _beside(queue, scene)})
    pipe = scripts.redis.pipeline(transaction=False)
    for record in records:
        pipe.zrank(_line(scripts, record.queue, record.tenant), record.id)
    ranks = await pipe.execute() if records else []
    return {
        record.id: place_of(record, int(rank), turns[record.queue], loads, scene)
        for record, rank in zip(records, ranks, strict=True)
        if rank is not None
    }


def place_of(record: JobRecord, rank: int, turns: Mapping[str, Turn], loads: Mapping[str, Load], scene: Scene) -> Place:
    """Return where a job stands that is the `rank`-th (0 first) of its tenant's line. Pure."""
    in_queue = _before_in_queue(record, rank, turns, scene.tenant_weights)
    classes = [_class(record.queue, priority, loads, scene) for priority in PRIORITIES]
    mine = PRIORITIES.index(record.priority) if record.priority in PRIORITIES else len(PRIORITIES) - 1
    siblings = sum(min(load.queued, in_queue) for name, load in classes[mine].items() if name != record.queue)
    own = in_queue + siblings
    higher = sum(load.queued for each in classes[:mine] for load in each.values())
    lower = [sum(load.queued for load in each.values()) for each in classes[mine + 1 :]]
    shares = (1.0, scene.share_default, scene.share_low)
    served_lower = 0.0
    for count, share in zip(lower, shares[mine + 1 :], strict=True):
        served_lower += min(count, share * (higher + own + served_lower))
    length = turns[record.tenant].length if record.tenant in turns else rank + 1
    return Place(
        rank=rank,
        length=max(length, rank + 1),
        ahead=round(higher + own + served_lower),
        ahead_by_share=own + (own + 1) / shares[mine] if mine and shares[mine] > 0 else None,
        arriving_per_s=sum(load.arriving for each in classes[:mine] for load in each.values()),
    )


def _before_in_queue(record: JobRecord, rank: int, turns: Mapping[str, Turn], weights: Mapping[str, float]) -> int:
    """How many of its queue are served before: whose turn comes first in virtual time (start-time fair queueing)."""
    mine = turns.get(record.tenant)
    if mine is None:
        return rank
    start = mine.at + rank * record.n / weights.get(record.tenant, 1.0)
    return rank + sum(
        _turns_before(turn, start, weights.get(tenant, 1.0) / record.n, first=tenant < record.tenant)
        for tenant, turn in turns.items()
        if tenant != record.tenant
    )


def _turns_before(turn: Turn, start: float, jobs_per_time: float, *, first: bool) -> int:
    """Turns of another tenant before a start; at the very same time the tenant whose name is `first` goes first."""
    jobs = (start - turn.at) * jobs_per_time
    whole = math.floor(jobs + 1e-9)
    count = whole if abs(jobs - whole) < 1e-9 and not first else whole + 1
    return min(max(count, 0), turn.length)


def _class(queue: str, priority: str, loads: Mapping[str, Load], scene: Scene) -> dict[str, Load]:
    """The queues of one priority that share a pool with a queue."""
    serving = scene.pools_for(queue.rpartition(".")[0])
    names = {queue_name(model, priority) for pool in serving for model in pool.models}
    return {name: loads.get(name, Load()) for name in names - scene.suspended_queues.keys()}


def _beside(queue: str, scene: Scene) -> set[str]:
    serving = scene.pools_for(queue.rpartition(".")[0])
    return {queue_name(model, priority) for pool in serving for model in pool.models for priority in PRIORITIES}


async def _turns(scripts: Scripts, queue: str) -> dict[str, Turn]:
    """The tenants' turns of one queue."""
    key = f"{scripts.keys.own}:tenants:{queue}"
    rows = await scripts.redis.zrange(key, 0, TENANTS_COUNTED_MAX - 1, withscores=True)
    at = {text(row[0]): float(row[1]) for row in rows if isinstance(row, tuple | list)}
    pipe = scripts.redis.pipeline(transaction=False)
    for tenant in at:
        pipe.zcard(_line(scripts, queue, tenant))
    counts = await pipe.execute() if at else []
    return {tenant: Turn(at=at[tenant], length=int(count)) for tenant, count in zip(at, counts, strict=True)}


async def _loads(scripts: Scripts, queues: set[str]) -> dict[str, Load]:
    names = sorted(queues)
    pipe = scripts.redis.pipeline(transaction=False)
    for name in names:
        pipe.llen(scripts.keys.queue(name))
        pipe.hget(f"{scripts.keys.own}:queue:{name}", "arrivals")
    answers = await pipe.execute() if names else []
    return {
        name: Load(queued=int(length), arriving=float(arriving or 0))
        for name, length, arriving in zip(names, answers[0::2], answers[1::2], strict=True)
    }


def _line(scripts: Scripts, queue: str, tenant: str) -> str:
    return f"{scripts.keys.own}:line:{queue}:{tenant}"
