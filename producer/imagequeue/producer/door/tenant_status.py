"""The status as the key of one tenant gets it: its own jobs, and of pools what all share. Pure.

Ceilings, pace, pauses and suspensions are the same for everybody. What tells how much others ask for or spend is null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from imagequeue.queue import budget
from imagequeue.queue.status import PoolStatus, QueueStatus, Status, totals_of

OF_ALL_TENANTS: Final = ("used_share", "images_started", "calls_refused", "effective_images_per_minute")
"""Fields of a pool that are sums over all tenants."""


def status_of_tenant(
    status: Status, tenant: str, queues: tuple[QueueStatus, ...], *, at_least: bool
) -> Mapping[str, object]:
    """Return the status as JSON values, with one tenant's `queues`; `at_least`: their counts may be larger."""
    own = replace(
        status,
        queues=queues,
        totals=totals_of(queues),
        pools=tuple(map(_pool, status.pools)),
        workers=(),
        held_tenants=tuple(hold for hold in status.held_tenants if hold.tenant == tenant),
    )
    shown = own.as_json()
    return {**shown, "pools": _without_sums(shown["pools"]), "cache": None, "at_least": at_least}


def _pool(pool: PoolStatus) -> PoolStatus:
    """A pool without what its organization spent, and without what came of others' calls."""
    short = budget.read(pool.suspended)
    return replace(pool, trouble="", unserved="", suspended=pool.suspended if short is None else budget.TO_TENANT)


def _without_sums(pools: object) -> Sequence[Mapping[str, object]]:
    return [{**pool, **dict.fromkeys(OF_ALL_TENANTS)} for pool in pools] if isinstance(pools, list) else []
