"""Figures for Prometheus, read when it asks: queues, pools, money. No prompts; tenants only for an admin who asks.

Labels come from the catalog, the configuration and priorities, so their number is bounded; queues that were made by
others are counted together beyond QUEUES_MAX.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response
from starlette.routing import Route

from imagequeue.config.money import NANO_PER_USD
from imagequeue.ledger.summary import Summary
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import forbidden
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route
from imagequeue.producer.door.webhook_metrics import WebhookFigures
from imagequeue.queue.status import CacheStatus, PoolStatus, QueueStatus, Status
from imagequeue.queue.webhook_health import read_webhook_health

QUEUES_MAX: Final = 500
TENANTS_MAX: Final = 1_000
STATES: Final = ("queued", "running", "waiting", "parked", "joined", "failed")


def metric_routes() -> list[Route]:
    """Return the route of metrics."""
    return [route("/metrics", "GET", show_metrics, scope="read")]


async def show_metrics(asked: Asked) -> Response:
    """Show all figures in Prometheus' text format; `tenants=1` adds money by tenant, for admins."""
    check_known(asked.request.query_params, ("tenants",))
    by_tenant = asked.request.query_params.get("tenants") == "1"
    if asked.caller.tenant is not None or (by_tenant and not asked.caller.may("admin")):
        raise forbidden("these figures are of all tenants; a key without a tenant is needed, for `tenants` an admin's")
    status = await asked.door.status.read()
    names = ("model", "org", "priority")
    summary = await asked.door.ledger.summary(names)
    tenants = await asked.door.ledger.summary(("tenant",)) if by_tenant else None
    registry = CollectorRegistry()
    registry.register(_Figures(status=status, summary=summary, tenants=tenants))
    configured = asked.door.settings.webhooks
    if configured:
        registry.register(WebhookFigures(await read_webhook_health(asked.door.scripts, asked.door.ledger, configured)))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Figures:
    """One reading, in the form that the Prometheus library collects."""

    status: Status
    summary: Summary
    tenants: Summary | None

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from _queues(self.status.queues[:QUEUES_MAX])
        yield from _pools(self.status.pools)
        yield _gauge("imagequeue_workers", "Worker processes that are alive.", [((), len(self.status.workers))])
        in_flight = sum(worker.in_flight for worker in self.status.workers)
        yield _gauge("imagequeue_in_flight", "Jobs that workers hold now.", [((), in_flight)])
        yield _gauge("imagequeue_suspended", "1 while all queues are suspended.", [((), int(self.status.suspended))])
        yield _gauge("imagequeue_held_tenants", "Tenants held back.", [((), len(self.status.held_tenants))])
        yield from _cache(self.status.cache)
        yield from _money(self.summary)
        if self.tenants is not None:
            yield _tenants(self.tenants)


Row = tuple[tuple[str, ...], float]


def _gauge(name: str, help_text: str, rows: Iterable[Row], labels: Sequence[str] = ()) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, figure in rows:
        family.add_metric(values, figure)
    return family


def _counter(name: str, help_text: str, rows: Iterable[Row], labels: Sequence[str]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, figure in rows:
        family.add_metric(values, figure)
    return family


def _queues(queues: Sequence[QueueStatus]) -> Iterator[Metric]:
    rows = [
        ((queue.model, queue.priority, state), float(getattr(queue, state))) for queue in queues for state in STATES
    ]
    yield _gauge("imagequeue_jobs", "Jobs by queue and state.", rows, ("model", "priority", "state"))
    ages = [((queue.model, queue.priority), queue.oldest_s or 0.0) for queue in queues]
    yield _gauge("imagequeue_oldest_seconds", "Age of the oldest queued job.", ages, ("model", "priority"))


def _pools(pools: Sequence[PoolStatus]) -> Iterator[Metric]:
    def rows(field: str) -> list[Row]:
        figures = [(pool.name, getattr(pool, field)) for pool in pools]
        return [((name,), float(figure)) for name, figure in figures if figure is not None]

    label = ("pool",)
    ceiling, pace = "imagequeue_pool_ceiling_images_per_minute", "imagequeue_pool_pace_images_per_minute"
    yield _gauge(ceiling, "Most images a minute.", rows("images_per_minute"), label)
    tokens = "imagequeue_pool_ceiling_tokens_per_minute"
    yield _gauge(tokens, "Most tokens a minute.", rows("tokens_per_minute"), label)
    yield _gauge(pace, "Images a minute that are let through now.", rows("pace_images_per_minute"), label)
    yield _gauge("imagequeue_pool_factor", "Learned share of the pace, 1 unless refused.", rows("factor"), label)
    yield _gauge("imagequeue_pool_used_share", "Share of the ceiling used lately.", rows("used_share"), label)
    effective = "imagequeue_pool_effective_images_per_minute"
    yield _gauge(effective, "The ceiling, with what the cache answers.", rows("effective_images_per_minute"), label)
    paused = [((pool.name,), float(pool.paused_until is not None)) for pool in pools]
    yield _gauge("imagequeue_pool_paused", "1 while the provider asked to wait.", paused, label)
    suspended = [((pool.name,), float(bool(pool.suspended))) for pool in pools]
    yield _gauge("imagequeue_pool_suspended", "1 while the pool is suspended.", suspended, label)
    yield _counter("imagequeue_pool_images_started", "Images asked for.", rows("images_started"), label)
    yield _counter("imagequeue_pool_calls_refused", "Calls refused for their rate.", rows("calls_refused"), label)


def _cache(cache: CacheStatus) -> Iterator[Metric]:
    sources: list[Row] = [((name,), float(getattr(cache, name))) for name in ("made", "stored", "joined")]
    yield _gauge("imagequeue_cache_images", "Images of the last day by where they came from.", sources, ("source",))
    rate: list[Row] = [] if cache.hit_rate is None else [((), cache.hit_rate)]
    yield _gauge("imagequeue_cache_hit_ratio", "Share of the last day's images that needed no call.", rate)


def _money(summary: Summary) -> Iterator[Metric]:
    """Gauges where an amount may fall: held, in doubt, and settled by a correction."""
    labels = ("model", "org", "priority")

    def rows(field: str, unit: float) -> list[Row]:
        return [
            (tuple(group.key[name] or "" for name in labels), getattr(group.figures, field) / unit)
            for group in summary.groups
        ]

    for state in ("settled", "held", "in_doubt", "voided"):
        amount = rows(f"{state}_nano", NANO_PER_USD)
        yield _gauge(f"imagequeue_ledger_{state}_usd", f"Dollars {state.replace('_', ' ')}.", amount, labels)
        yield _gauge(f"imagequeue_ledger_{state}_attempts", f"Attempts {state}.", rows(state, 1), labels)
    yield _counter("imagequeue_ledger_images", "Images paid for.", rows("images", 1), labels)
    yield _gauge("imagequeue_ledger_saved_usd", "Dollars not spent.", rows("saved_nano", NANO_PER_USD), labels)


def _tenants(summary: Summary) -> Metric:
    dearest = sorted(summary.groups, key=lambda group: -group.figures.settled_nano)[:TENANTS_MAX]
    rows = [((group.key["tenant"] or "",), group.figures.settled_nano / NANO_PER_USD) for group in dearest]
    return _gauge("imagequeue_tenant_settled_usd", "Dollars settled by tenant.", rows, ("tenant",))
