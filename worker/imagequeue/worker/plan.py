"""Which queues a worker serves, from which pools, at which pace. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from imagequeue.config.job import PRIORITIES, queue_name
from imagequeue.queue.ceilings import Pool, unit_us
from imagequeue.queue.claims import ClaimPlan, PoolPlan


@dataclass(frozen=True, kw_only=True)
class PaceSettings:
    """How ceilings become a working pace."""

    fraction: float
    burst_seconds: float
    share_default: float
    share_low: float
    tenant_weights: Mapping[str, float]


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
        models=pool.models,
        image_us=unit_us(pool.limits.images_per_minute, pace.fraction),
        token_us=unit_us(pool.limits.tokens_per_minute, pace.fraction),
        burst_us=pace.burst_seconds * 1_000_000,
        weight=pool.org.weight,
        high=high,
        default=default,
        low=low,
    )


def _model(queue: str) -> str:
    return queue.rpartition(".")[0]


def _priority(queue: str) -> str:
    return queue.rpartition(".")[2]
