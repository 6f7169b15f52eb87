"""Figures of queues, pools, workers and the cache for Prometheus. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client.core import Metric

from imagequeue.producer.door.metric_families import Row, counter, gauge, histogram, single
from imagequeue.queue.measured import Measured, Vitals
from imagequeue.queue.measures import MEASURES
from imagequeue.queue.pools import PoolState
from imagequeue.queue.status import CacheStatus, PoolStatus, QueueStatus, Status

QUEUES_MAX: Final = 500
STATES: Final = ("queued", "running", "waiting", "parked", "joined", "failed")
POOL: Final = ("pool",)
US_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class QueueFigures:
    """One reading of what is in Redis. `lease_ages`: seconds since each worker last renewed its lease."""

    status: Status
    pools: Mapping[str, PoolState]
    measured: Measured
    vitals: tuple[Vitals, ...]
    lease_ages: tuple[float, ...]

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from _queues(self.status.queues[:QUEUES_MAX])
        yield from _pools(self.status.pools)
        yield from _totals(self.pools)
        yield from _workers(self.status, self.vitals, self.lease_ages)
        yield from _cache(self.status.cache)
        yield from _measured(self.measured)


def _queues(queues: Sequence[QueueStatus]) -> Iterator[Metric]:
    rows = [
        ((queue.model, queue.priority, state), float(getattr(queue, state))) for queue in queues for state in STATES
    ]
    yield gauge("imagequeue_jobs", "Jobs by queue and state.", rows, ("model", "priority", "state"))
    ages = [((queue.model, queue.priority), queue.oldest_s or 0.0) for queue in queues]
    name = "imagequeue_oldest_job_age_seconds"
    yield gauge(name, "How long the first job in line has waited, 0 when none does.", ages, ("model", "priority"))


def _pools(pools: Sequence[PoolStatus]) -> Iterator[Metric]:
    def rows(field: str) -> list[Row]:
        figures = [(pool.name, getattr(pool, field)) for pool in pools]
        return [((name,), float(figure)) for name, figure in figures if figure is not None]

    ceiling, pace = "imagequeue_pool_ceiling_images_per_minute", "imagequeue_pool_pace_images_per_minute"
    yield gauge(ceiling, "Most images a minute.", rows("images_per_minute"), POOL)
    tokens = "imagequeue_pool_ceiling_tokens_per_minute"
    yield gauge(tokens, "Most tokens a minute.", rows("tokens_per_minute"), POOL)
    yield gauge(pace, "Images a minute that are let through now.", rows("pace_images_per_minute"), POOL)
    yield gauge("imagequeue_pool_pace_factor", "Learned share of the pace, 1 unless refused.", rows("factor"), POOL)
    used = "imagequeue_pool_used_ratio"
    yield gauge(used, "Share of the images' ceiling used over the last minute.", rows("used_share"), POOL)
    effective = "imagequeue_pool_effective_images_per_minute"
    yield gauge(effective, "The ceiling, with what the cache answers.", rows("effective_images_per_minute"), POOL)
    paused = [((pool.name,), float(pool.paused_until is not None)) for pool in pools]
    yield gauge("imagequeue_pool_paused", "1 while the provider asked to wait.", paused, POOL)
    suspended = [((pool.name,), float(bool(pool.suspended))) for pool in pools]
    yield gauge("imagequeue_pool_suspended", "1 while the pool is suspended.", suspended, POOL)
    yield counter("imagequeue_pool_images_started", "Images asked for.", rows("images_started"), POOL)
    yield counter("imagequeue_pool_calls_refused", "Calls refused for their rate.", rows("calls_refused"), POOL)


def _totals(pools: Mapping[str, PoolState]) -> Iterator[Metric]:
    tokens = [((name,), float(state.tokens)) for name, state in pools.items()]
    yield counter("imagequeue_pool_tokens_started", "Tokens that calls were estimated at.", tokens, POOL)
    paused = [((name,), state.paused_us / US_PER_SECOND) for name, state in pools.items()]
    yield counter("imagequeue_pool_paused_seconds", "How long the provider made a pool wait.", paused, POOL)


def _workers(status: Status, vitals: Sequence[Vitals], lease_ages: Sequence[float]) -> Iterator[Metric]:
    yield single("imagequeue_workers", "Worker processes that are alive.", len(status.living))
    in_flight = sum(worker.in_flight for worker in status.workers)
    yield single("imagequeue_in_flight", "Jobs that workers hold now.", in_flight)
    troubled = sum(bool(worker.note) for worker in status.workers)
    yield single("imagequeue_workers_in_trouble", "Workers that something keeps from claiming.", troubled)
    yield single("imagequeue_suspended", "1 while all queues are suspended.", int(status.suspended))
    yield single("imagequeue_held_tenants", "Tenants held back.", len(status.held_tenants))
    lease = "imagequeue_worker_lease_age_seconds"
    yield single(lease, "Since the worker that was silent longest renewed its lease.", max(lease_ages, default=0.0))
    backlog = sum(one.ledger_backlog for one in vitals)
    yield single("imagequeue_ledger_backlog_operations", "What waits for a commit in all workers.", backlog)
    stalled = max((one.ledger_stalled_seconds for one in vitals), default=0.0)
    yield single("imagequeue_ledger_stalled_seconds", "How long the slowest commit under way has lasted.", stalled)
    lag = max((one.loop_lag_seconds for one in vitals), default=0.0)
    yield single("imagequeue_event_loop_lag_max_seconds", "The latest any worker's loop woke in two seconds.", lag)


def _cache(cache: CacheStatus) -> Iterator[Metric]:
    sources: list[Row] = [((name,), float(getattr(cache, name))) for name in ("made", "stored", "joined")]
    yield gauge("imagequeue_cache_images", "Images of the last day by where they came from.", sources, ("source",))
    rate: list[Row] = [] if cache.hit_rate is None else [((), cache.hit_rate)]
    yield gauge("imagequeue_cache_hit_ratio", "Share of the last day's images that needed no call.", rate)


def _measured(measured: Measured) -> Iterator[Metric]:
    for measure in MEASURES:
        if measure.bounds:
            yield histogram(measure, measured.histograms[measure.name])
        else:
            rows = [(labels, float(count)) for labels, count in measured.counters[measure.name].items()]
            yield counter(measure.name, measure.help, rows, measure.labels)


def ages(beats: Sequence[datetime | None], now: datetime) -> tuple[float, ...]:
    """Return the seconds since each of some signs of life."""
    return tuple(max((now - beat).total_seconds(), 0.0) for beat in beats if beat is not None)
