"""Switches that a person throws: no more calls start in a pool, for a tenant, from a queue, or at all.

Calls in flight go on. Each switch may be thrown twice: the second time only changes the reason. A queue's switch
reaches the workers at their next look at the queues (about a second), the others at the next claim.
"""

from collections.abc import Mapping
from typing import Final

from imagequeue.queue import pools, tenants
from imagequeue.queue.pools import REASON_CHARACTERS_MAX
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.tenants import TenantHold
from imagequeue.queue.text import text

BY_HAND: Final = "suspended by hand"
ALL: Final = "*"
"""The field for all queues; no queue is called so."""
HELD_REASON: Final = "suspended"


class Switches:
    """Throws switches. What returns a bool says whether the switch stood the other way before."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def suspend_pool(self, pool: str, *, reason: str = BY_HAND, for_us: int = 0) -> bool:
        """Start no more calls in a pool, for `for_us` microseconds or until it is resumed."""
        before = (await pools.states(self._scripts, (pool,)))[pool].suspended
        await pools.suspend(self._scripts, pool, reason=reason, for_us=for_us)
        return not before

    async def resume_pool(self, pool: str) -> bool:
        """End a pool's suspension and pause, and forget what lowered its pace."""
        before = (await pools.states(self._scripts, (pool,)))[pool]
        await pools.resume(self._scripts, pool)
        return bool(before.suspended) or before.paused_until_us > 0 or before.factor < 1

    async def suspend_tenant(self, tenant: str, *, reason: str = BY_HAND) -> bool:
        """Start no more jobs of a tenant; they keep their places."""
        before = (await tenants.held(self._scripts)).get(tenant)
        detail = f"tenant {tenant} is suspended: {_short(reason)}"
        held = TenantHold(tenant=tenant, reason=HELD_REASON, detail=detail)
        await tenants.hold(self._scripts, held)
        return before is None or before.reason != HELD_REASON

    async def resume_tenant(self, tenant: str) -> bool:
        """Let a tenant's jobs start again; one over its cap is held again at its next job."""
        before = await tenants.held(self._scripts)
        await tenants.release(self._scripts, tenant)
        return tenant in before

    async def suspend_queue(self, queue: str, *, reason: str = BY_HAND) -> bool:
        """Start no more jobs of one queue."""
        return bool(await self._scripts.redis.hset(_key(self._scripts), queue, _short(reason)))

    async def resume_queue(self, queue: str) -> bool:
        """Let a queue's jobs start again."""
        return bool(await self._scripts.redis.hdel(_key(self._scripts), queue))

    async def suspend_all(self, *, reason: str = BY_HAND) -> bool:
        """Start nothing any more; the same switch as `rq suspend`."""
        redis, keys = self._scripts.redis, self._scripts.keys
        await redis.hset(_key(self._scripts), ALL, _short(reason))
        return bool(await redis.set(keys.suspended, "1", get=True) is None)

    async def resume_all(self) -> bool:
        """End the suspension of all queues, and of each queue and each tenant that a person suspended."""
        redis, keys = self._scripts.redis, self._scripts.keys
        ended = int(await redis.delete(keys.suspended)) + int(await redis.delete(_key(self._scripts)))
        for hold in (await tenants.held(self._scripts)).values():
            if hold.reason == HELD_REASON:
                ended += await self.resume_tenant(hold.tenant)
        return ended > 0


async def suspended_queues(scripts: Scripts) -> Mapping[str, str]:
    """Return queue -> why, of the queues that a person suspended; under ALL why all are, if they are."""
    rows = await scripts.redis.hgetall(_key(scripts))
    return {text(name): text(reason) for name, reason in rows.items()}


def _key(scripts: Scripts) -> str:
    return f"{scripts.keys.own}:switches"


def _short(reason: str) -> str:
    return " ".join(reason.split())[:REASON_CHARACTERS_MAX] or BY_HAND
