"""Whether something keeps queued jobs from starting: what is suspended, what a provider refuses, workers in trouble."""

from collections.abc import Iterable

from imagequeue.config.clock import iso
from imagequeue.config.settings import Settings
from imagequeue.producer.checkup.finding import Finding, fail, ok, warn
from imagequeue.producer.open_queue import opened_queue
from imagequeue.queue.status import PoolStatus, Status


async def check_pools(settings: Settings) -> list[Finding]:
    """Return the findings about pools, queues and workers; QueueUnavailable when the server does not answer."""
    async with opened_queue(settings) as queue:
        return judge_status(await queue.status().read())


def judge_status(status: Status) -> list[Finding]:
    """Return what keeps jobs from starting. Pure."""
    found = [finding for pool in status.pools for finding in _of_pool(pool)]
    if status.suspended:
        says = f"all queues are suspended: {status.suspended_reason or 'by RQ'}"
        found.append(warn("queues", says, "`imagequeue resume --all`"))
    found += [
        warn("queues", f"{queue.name} is suspended: {queue.suspended}", f"`imagequeue resume --queue {queue.name}`")
        for queue in status.queues
        if queue.suspended
    ]
    found += [
        fail("workers", f"{one.name}: {one.note}", "mend that; it goes on by itself")
        for one in status.workers
        if one.note
    ]
    if status.totals.queued and not status.living:
        says = f"{status.totals.queued:,} jobs are queued and no worker runs"
        found.append(fail("workers", says, "start one: `imagequeue worker`"))
    return found or [ok("pools", "none is suspended, and no worker is kept from claiming")]


def _of_pool(pool: PoolStatus) -> Iterable[Finding]:
    check = f"pool {pool.name}"
    if pool.suspended and pool.suspended_until:
        yield warn(check, f"suspended until {iso(pool.suspended_until)}: {pool.suspended}", "it goes on by itself")
    elif pool.suspended:
        yield fail(check, f"suspended: {pool.suspended}", f"mend that, then `imagequeue resume '{pool.name}'`")
    if pool.unserved:
        does = "see the organization's access to it, or name another model in IMAGEQUEUE_MODELS and in your apps"
        yield fail(check, f"the provider does not serve {pool.unserved}", does)
