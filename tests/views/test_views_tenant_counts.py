"""What a tenant may be told of the queues: its own jobs in each place, and nothing of queues that only others use."""

import pytest
from views_stage import MODEL, Stage, on_stage

from imagequeue.config.settings import Settings
from imagequeue.queue import tenant_counts
from imagequeue.queue.status import QueueStatus
from imagequeue.queue.tenant_counts import TenantCounter

Figures = tuple[int, int, int, int, int]


def figures(queue: QueueStatus) -> Figures:
    return queue.queued, queue.running, queue.waiting, queue.parked, queue.failed


async def seen_by(stage: Stage, counter: TenantCounter, tenant: str) -> dict[str, Figures]:
    status = await stage.client.status()
    return {queue.name: figures(queue) for queue in await counter.own(tenant, status.queues, await counter.read())}


def test_each_tenant_sees_its_own_jobs_in_each_place(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        counter = TenantCounter(stage.queue.scripts)
        await stage.put(4, tenant="red")
        first, second, third = await stage.claim(3)
        await stage.fail(first)
        await stage.park(second)
        await stage.give_back(third, 60_000_000, {"reason": "backoff", "until": None, "detail": ""})
        await stage.put(2, tenant="blue")
        await stage.put(1, tenant="blue", priority="low")
        await stage.claim(1)
        red, blue = [await seen_by(stage, counter, tenant) for tenant in ("red", "blue")]
        jobs = {name: sum(red[name]) + sum(blue[name]) for name in red}
        assert (jobs[f"{MODEL}.default"], jobs[f"{MODEL}.low"]) == (6, 1)
        assert red[f"{MODEL}.default"][2:] == (1, 1, 1)
        assert blue[f"{MODEL}.default"][2:] == (0, 0, 0)
        assert (red[f"{MODEL}.low"], blue[f"{MODEL}.low"]) == ((0, 0, 0, 0, 0), (1, 0, 0, 0, 0))
        assert await seen_by(stage, counter, "green") == dict.fromkeys(red, (0, 0, 0, 0, 0))

    on_stage(settings, play)


def test_the_age_of_the_oldest_is_of_the_tenants_own(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        counter = TenantCounter(stage.queue.scripts)
        await stage.put(1, tenant="red")
        queues = (await stage.client.status()).queues
        counts = await counter.read()
        (own,), (none,) = await counter.own("red", queues, counts), await counter.own("blue", queues, counts)
        assert own.oldest_s is not None
        assert 0 <= own.oldest_s < 60
        assert none.oldest_s is None

    on_stage(settings, play)


def test_a_queue_that_nobody_serves_is_shown_to_those_who_have_jobs_in_it(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        counter = TenantCounter(stage.queue.scripts)
        redis, keys = stage.queue.scripts.redis, stage.queue.scripts.keys
        await redis.sadd(keys.queues, keys.queue("secret.high"))
        await redis.zadd(keys.registry("failed", "secret.high"), {"one": 4e9})
        await redis.hset(keys.job("one"), mapping={"iq_tenant": "red"})
        assert (await seen_by(stage, counter, "red"))["secret.high"] == (0, 0, 0, 0, 1)
        assert "secret.high" not in await seen_by(stage, counter, "blue")

    on_stage(settings, play)


def test_a_reading_is_bounded_and_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_counts, "LOOKED_AT_MAX", 3)

    async def play(stage: Stage) -> None:
        counter = TenantCounter(stage.queue.scripts)
        await stage.put(3, tenant="red", not_before="2999-01-01T00:00:00Z")
        exact = await counter.read()
        await stage.put(2, tenant="red", not_before="2999-01-01T00:00:00Z")
        least = await counter.read()
        spot = ("red", f"{MODEL}.default", "waiting")
        assert (exact.jobs[spot], exact.at_least) == (3, False)
        assert (least.jobs[spot], least.at_least) == (3, True)

    on_stage(settings, play)
