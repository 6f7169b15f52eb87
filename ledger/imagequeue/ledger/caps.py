"""Which scopes an attempt counts for, when they start anew, and which cap a hold would pass. Pure.

A scope is `<what>:<period>:<name>`, e.g. `org:2026-11:main`. Every attempt counts for its scopes whether or not a cap
is set, so that a cap that is set later knows what was used before.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from imagequeue.ledger.api import Cap, CapKind, CapReached
from imagequeue.ledger.moments import start_of_next_day, start_of_next_month

SCOPES_MAX: Final = 4_096
"""For how many organizations, tenants and days the names of their scopes are kept: every hold and end asks."""
LEVELS_PERCENT: Final = (50, 80, 100)
"""Shares of a cap that are worth a warning, once in each of its periods."""


def levels_reached(used_nano: int, limit_nano: int, *, refused: bool) -> tuple[int, ...]:
    """Return the levels of a cap that its use has reached; all of them once it has refused a call."""
    return tuple(percent for percent in LEVELS_PERCENT if refused or used_nano * 100 >= percent * max(limit_nano, 1))


@lru_cache(maxsize=SCOPES_MAX)
def scopes(org: str, tenant: str, day: str) -> tuple[str, str, str, str]:
    """Return the scopes that an attempt held on that day counts for, in the order of their names."""
    month = day[:7]
    return f"org:{month}:{org}", f"tenant:{month}:{tenant}", f"tenant:{day}:{tenant}", f"tenant:total:{tenant}"


def scope(kind: CapKind, org: str, tenant: str, job_id: str, day: str) -> str:
    """Return the scope of one cap."""
    if kind == "job":
        return f"job:total:{job_id}"
    of_org, of_month, of_day, of_all = scopes(org, tenant, day)
    return {"org_month": of_org, "tenant_month": of_month, "tenant_day": of_day, "tenant_total": of_all}[kind]


def starts_anew(kind: CapKind, day: str) -> datetime | None:
    """Return when a scope of that day is left for the next, or None when it never is."""
    if kind == "tenant_day":
        return start_of_next_day(day)
    return start_of_next_month(day) if kind in ("org_month", "tenant_month") else None


def first_reached(
    caps: Iterable[tuple[Cap, str]], used_nano: Mapping[str, int], amount_nano: int, day: str
) -> CapReached | None:
    """Return the first cap that `amount_nano` more would pass, or None when it fits under all of them."""
    for cap, of in caps:
        used = used_nano.get(of, 0)
        if used + amount_nano > cap.limit_nano:
            return CapReached(
                scope=of, kind=cap.kind, limit_nano=cap.limit_nano, used_nano=used, until=starts_anew(cap.kind, day)
            )
    return None
