"""The age of the oldest job of a queue is that of the one that waits longest, whosever it is and held or not."""

from datetime import UTC, datetime

from views_stage import MODEL, Stage, on_stage

from imagequeue.config.settings import Settings
from imagequeue.queue import tenants
from imagequeue.queue.tenants import TenantHold

QUEUE = f"{MODEL}.default"


async def oldest_s(stage: Stage) -> float | None:
    """Return what the status says."""
    status = await stage.client.status_reader().read()
    return next(queue.oldest_s for queue in status.queues if queue.name == QUEUE)


async def backdate(stage: Stage, tenant: str, job_id: str, seconds: float) -> None:
    """Let a job wait for so long already."""
    age_us = (datetime.now(UTC).timestamp() - seconds) * 1_000_000
    keys = stage.queue.scripts.keys
    await stage.queue.scripts.redis.zadd(f"{keys.own}:line:{QUEUE}:{tenant}", {job_id: age_us})


def test_the_oldest_of_many_tenants_is_told(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        for number in range(40):
            (job_id,) = await stage.put(tenant=f"t{number}")
            await backdate(stage, f"t{number}", job_id, 100 + number)
        assert 139 <= (await oldest_s(stage) or 0) < 170

    on_stage(settings, play)


def test_a_held_tenants_jobs_count_and_an_empty_queue_has_no_oldest(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (mine,) = await stage.put(tenant="held")
        await stage.put(tenant="other")
        await backdate(stage, "held", mine, 500)
        await tenants.hold(stage.queue.scripts, TenantHold(tenant="held", reason="budget", detail="cap"))
        assert 499 <= (await oldest_s(stage) or 0) < 530
        for claim in await stage.claim(5):
            await stage.finish(claim)
        await stage.client.cancel(mine)
        assert await oldest_s(stage) is None

    on_stage(settings, play)
