"""Tenants whose jobs must not start now: held back with a reason and, when it is known, an end."""

import json
from dataclasses import dataclass

from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text


@dataclass(frozen=True, kw_only=True)
class TenantHold:
    """Why a tenant's jobs wait. Unix seconds; `until` None: nobody knows; `recheck_at` None: a person decides."""

    tenant: str
    reason: str
    detail: str
    until: float | None = None
    recheck_at: float | None = None


async def hold(scripts: Scripts, hold: TenantHold) -> None:
    """Hold a tenant's jobs back, on every queue."""
    why = json.dumps({"reason": hold.reason, "detail": hold.detail, "until": hold.until, "recheck_at": hold.recheck_at})
    await scripts.run("tenant", ["hold", hold.tenant, why])


async def release(scripts: Scripts, tenant: str) -> None:
    """Let a tenant's jobs start again, whoever held them back."""
    await scripts.run("tenant", ["release", tenant, ""])


async def recheck(scripts: Scripts, tenant: str) -> None:
    """Let a tenant's jobs start again unless a person held them back since."""
    await scripts.run("tenant", ["recheck", tenant, ""])


async def held(scripts: Scripts) -> dict[str, TenantHold]:
    """Return the tenants that are held back."""
    rows = await scripts.redis.hgetall(f"{scripts.keys.own}:held")
    return {text(name): _hold(text(name), text(value)) for name, value in rows.items()}


def _hold(tenant: str, value: str) -> TenantHold:
    why = json.loads(value)
    return TenantHold(
        tenant=tenant, reason=why["reason"], detail=why["detail"], until=why["until"], recheck_at=why["recheck_at"]
    )
