"""What waits for money is looked at again at once, after somebody changed a cap, and not at the end of its minute."""

from imagequeue.queue import budget, pools, tenants
from imagequeue.queue.scripts import Scripts

AT_ONCE_US = 1


async def look_again(scripts: Scripts, *, org: str | None = None, tenant: str | None = None) -> None:
    """Let an organization's pools, or a tenant's jobs, start again that wait for money; the ledger decides anew.

    What a person suspended stays suspended.
    """
    if org is not None:
        for name, state in (await pools.states(scripts)).items():
            if name.partition("|")[0] == org and budget.read(state.suspended) is not None:
                await pools.suspend(scripts, name, reason=state.suspended, for_us=AT_ONCE_US)
    if tenant is not None and (held := (await tenants.held(scripts)).get(tenant)) and held.reason == "budget":
        await tenants.recheck(scripts, tenant)
