"""About how long a job would stand in line if it came now, from one reading of the status. Pure.

All jobs that are served before it count like this one: those of its priority and higher ones on the models that share
its pools, whoever's they are. Tenants take turns, so a tenant with few jobs is served sooner than this says.
"""

from collections.abc import Sequence
from datetime import datetime
from math import inf
from typing import Final

from imagequeue.config.job import PRIORITIES
from imagequeue.queue.entries import Entry
from imagequeue.queue.status import PoolStatus, Status

SECONDS_PER_MINUTE: Final = 60.0


def wait_seconds(entry: Entry, status: Status, pace_fraction: float) -> float:
    """Return the seconds until a new job would start; infinity when nobody knows."""
    serving = [pool for pool in status.pools if entry.job.model in pool.models]
    usable = [pool for pool in serving if _usable(pool, status.at)]
    if status.suspended or not status.workers or (serving and not usable):
        return inf
    if any(hold.tenant == entry.job.tenant for hold in status.held_tenants):
        return inf
    paces = [_jobs_per_second(pool, entry, pace_fraction) for pool in usable]
    paused = min((_pause_seconds(pool, status.at) for pool in usable), default=0.0)
    ahead = _ahead(entry, serving, status)
    return paused + (ahead / sum(paces) if ahead and paces and sum(paces) > 0 else 0.0)


def _usable(pool: PoolStatus, at: datetime) -> bool:
    return not pool.suspended or (pool.suspended_until is not None and pool.suspended_until <= at)


def _pause_seconds(pool: PoolStatus, at: datetime) -> float:
    return 0.0 if pool.paused_until is None else max(0.0, (pool.paused_until - at).total_seconds())


def _ahead(entry: Entry, serving: Sequence[PoolStatus], status: Status) -> int:
    models = {name for pool in serving for name in pool.models} | {entry.job.model}
    priorities = PRIORITIES[: PRIORITIES.index(entry.job.priority) + 1]
    return sum(queue.queued for queue in status.queues if queue.model in models and queue.priority in priorities)


def _jobs_per_second(pool: PoolStatus, entry: Entry, pace_fraction: float) -> float:
    """The pace of jobs like this one, by whichever of the pool's two ceilings is the lower for them."""
    images, tokens = pool.pace_images_per_minute, pool.tokens_per_minute
    by_images = inf if images is None else images / entry.job.n
    by_tokens = inf if tokens is None or not entry.tokens else tokens * pace_fraction * pool.factor / entry.tokens
    return min(by_images, by_tokens) / SECONDS_PER_MINUTE
