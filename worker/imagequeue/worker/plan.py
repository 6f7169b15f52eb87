"""Which queues a worker serves, from which pools, at which pace. Pure: settings, catalog and what was learned go in."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from imagequeue.config.catalog import Catalog, Limits, limits_of
from imagequeue.config.job import PRIORITIES, queue_name
from imagequeue.config.orgs import Org
from imagequeue.queue.claims import ClaimPlan, PoolPlan
from imagequeue.queue.pools import pool_name

MINUTE_US = 60_000_000


@dataclass(frozen=True, kw_only=True)
class PaceSettings:
    """How ceilings become a working pace."""

    fraction: float
    burst_seconds: float
    share_default: float
    share_low: float
    tenant_weights: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One organization's limit group: the models it serves and their shared ceiling."""

    name: str
    org: Org
    models: tuple[str, ...]
    limits: Limits


def pools_of(catalog: Catalog, orgs: Sequence[Org], gone: Collection[tuple[str, str]] = ()) -> tuple[Pool, ...]:
    """Return the pools of the organizations, without what they said they do not serve: `gone` holds (org, model)."""
    return tuple(pool for org in orgs for pool in _org_pools(catalog, org, gone))


def _org_pools(catalog: Catalog, org: Org, gone: Collection[tuple[str, str]]) -> Iterable[Pool]:
    groups: dict[str, dict[str, Limits]] = {}
    for name, model in catalog.models.items():
        limits = limits_of(catalog, org, name)
        if limits.served and (org.name, name) not in gone:
            groups.setdefault(model.limit_group, {})[name] = limits
    for group, members in groups.items():
        yield Pool(name=pool_name(org.name, group), org=org, models=tuple(members), limits=_shared(org, members))


def _shared(org: Org, members: Mapping[str, Limits]) -> Limits:
    """The ceiling that a group's models share: the lowest configured for one of them, else the lowest published."""
    configured = [limits for name, limits in members.items() if name in org.limits]
    candidates = configured or list(members.values())
    return Limits(
        images_per_minute=_least(limits.images_per_minute for limits in candidates),
        tokens_per_minute=_least(limits.tokens_per_minute for limits in candidates),
        source=candidates[0].source,
    )


def _least(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return min(known) if known else None


def claim_plan(
    pools: Sequence[Pool],
    pace: PaceSettings,
    *,
    known_queues: Collection[str],
    catalog_models: Collection[str],
    only_queues: Collection[str] = (),
) -> ClaimPlan:
    """Return what to claim: the known queues of each pool, and the known queues of our models that no pool serves.

    Queues of models that are in nobody's catalog belong to other applications and are left alone.
    """
    wanted = [queue for queue in sorted(known_queues) if not only_queues or queue in only_queues]
    served = {model for pool in pools for model in pool.models}
    orphans = tuple(
        queue
        for queue in wanted
        if _priority(queue) in PRIORITIES and _model(queue) in catalog_models and _model(queue) not in served
    )
    return ClaimPlan(
        pools=tuple(_pool_plan(pool, pace, set(wanted)) for pool in pools),
        unserved=orphans,
        weights=pace.tenant_weights,
        share_default=pace.share_default,
        share_low=pace.share_low,
    )


def _pool_plan(pool: Pool, pace: PaceSettings, wanted: Collection[str]) -> PoolPlan:
    high, default, low = (
        tuple(queue_name(model, priority) for model in pool.models if queue_name(model, priority) in wanted)
        for priority in PRIORITIES
    )
    return PoolPlan(
        name=pool.name,
        image_us=unit_us(pool.limits.images_per_minute, pace.fraction),
        token_us=unit_us(pool.limits.tokens_per_minute, pace.fraction),
        burst_us=pace.burst_seconds * 1_000_000,
        weight=pool.org.weight,
        high=high,
        default=default,
        low=low,
    )


def unit_us(per_minute: float | None, fraction: float) -> float:
    """Return the microseconds that one unit takes at a fraction of a ceiling; 0 where there is none."""
    return 0.0 if per_minute is None else MINUTE_US / (per_minute * fraction)


def _model(queue: str) -> str:
    return queue.rpartition(".")[0]


def _priority(queue: str) -> str:
    return queue.rpartition(".")[2]
