"""Jobs with a time of their own: not before, not after, cancelled at every stage, moved to another priority."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from worker_life import LifeWorld, life_world
from worker_site import WorkerSite

from imagequeue.queue.acts import Acts
from imagequeue.queue.claims import promote
from imagequeue.simulator.faults import Fault

TTL_SECONDS = 1000


def acts(world: LifeWorld) -> Acts:
    """Return what a person can do."""
    return Acts(world.scripts, world.opened.ledger, ttl_seconds=TTL_SECONDS)


async def claim_if_any(world: LifeWorld) -> None:
    """Let a worker live whatever it can claim."""
    claims = await world.worker()
    for claim in (await claims.claim(world.board.encoded, 10)).claims:
        await world.life.run(claims, claim)


def test_a_job_is_not_called_before_its_time(site: WorkerSite) -> None:
    start = datetime.now(UTC) + timedelta(seconds=1)
    later, now = site.put(not_before=start), site.put()
    assert (site.status(later), site.status(now)) == ("scheduled", "queued")
    site.burst()
    assert site.status(later) == "finished"
    (attempt,) = site.attempts(later)
    assert attempt.sent_at is not None
    assert attempt.sent_at >= start
    assert site.status(now) == "finished"


def test_an_expired_job_is_never_called(site: WorkerSite) -> None:
    """Neither one whose deadline passed in its queue, nor one whose deadline is before its own start."""
    soon = datetime.now(UTC) + timedelta(milliseconds=50)
    queued = site.put(deadline=soon)
    delayed = site.put(deadline=soon, not_before=datetime.now(UTC) + timedelta(seconds=1))
    while datetime.now(UTC) <= soon:
        time.sleep(0.01)
    site.burst()
    for job_id in (queued, delayed):
        assert (site.status(job_id), site.error(job_id)["code"], site.states(job_id)) == ("failed", "expired", [])
        outcome = site.outcome(job_id)
        assert outcome is not None
        assert outcome.status == "expired"
        assert site.billed(job_id) == {}


@pytest.mark.parametrize("stage", ["queued", "delayed"])
def test_a_job_cancelled_before_its_claim_is_never_called(server_url: str, tmp_path: Path, stage: str) -> None:
    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            job_id = await world.put(not_before=datetime.now(UTC) + timedelta(hours=1) if stage == "delayed" else None)
            acted = await acts(world).cancel(job_id)
            assert (acted.status, acted.changed) == ("cancelled", True)
            await promote(world.scripts, world.board.queues)
            await claim_if_any(world)
            assert (await world.status(job_id), await world.outcome(job_id)) == ("canceled", "cancelled")
            assert (world.caller.calls, await world.states(job_id)) == ([], [])
            assert not (await acts(world).cancel(job_id)).changed

    asyncio.run(story())


def test_a_job_cancelled_while_its_call_is_out_ends_as_the_call_does(server_url: str, tmp_path: Path) -> None:
    """What was sent is paid for: its images are kept."""

    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            job_id = await world.put()
            claims = await world.worker()
            life = asyncio.create_task(world.life.run(claims, await world.claim(claims)))
            await world.caller.called(1)
            assert "unless its call has been sent" in (await acts(world).cancel(job_id)).note
            world.caller.give(0)
            await life
            assert (await world.status(job_id), await world.outcome(job_id)) == ("finished", "succeeded")
            assert await world.states(job_id) == ["settled"]

    asyncio.run(story())


def test_a_job_parked_in_doubt_can_be_cancelled_and_its_doubt_stays_visible(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="billed_reset", count=1))
    job_id = site.put(on_doubt="hold")
    site.burst()
    assert site.status(job_id) == "deferred"

    async def cancel() -> str:
        from imagequeue.ledger.ledger import Ledger
        from imagequeue.queue.connection import connect
        from imagequeue.queue.scripts import Scripts

        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        acted = await Acts(Scripts(client, site.settings.keys), ledger, ttl_seconds=TTL_SECONDS).cancel(job_id)
        await ledger.aclose()
        await client.aclose()
        return acted.status

    assert asyncio.run(cancel()) == "cancelled"
    site.burst()
    assert (site.status(job_id), site.states(job_id)) == ("canceled", ["in_doubt"])
    assert site.billed(job_id) == {True: 1}


def test_a_job_moved_to_a_higher_priority_is_claimed_first_and_by_age(server_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            low = [await world.put(priority="low") for _ in range(3)]
            high = await world.put(priority="high")
            assert (await acts(world).prioritize(low[1], "high")).changed
            claims = await world.worker()
            given = (await claims.claim(world.board.encoded, 10)).claims
            assert [claim.id for claim in given] == [low[1], high, low[0], low[2]]
            assert given[0].queue == "dall-e-3.high"

    asyncio.run(story())


def test_a_delayed_job_keeps_its_time_at_its_new_priority(server_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            job_id = await world.put(priority="low", not_before=datetime.now(UTC) + timedelta(hours=1))
            acted = await acts(world).prioritize(job_id, "high")
            assert (acted.status, acted.changed) == ("waiting", True)
            keys, redis = world.scripts.keys, world.scripts.redis
            assert await redis.zscore(keys.registry("scheduled", "dall-e-3.low"), job_id) is None
            assert float(await redis.zscore(keys.registry("scheduled", "dall-e-3.high"), job_id) or 0) > time.time()
            await redis.zadd(keys.registry("scheduled", "dall-e-3.high"), {job_id: 1})
            await world.board.refresh(world.scripts)
            await promote(world.scripts, world.board.queues)
            assert (await world.claim(await world.worker())).queue == "dall-e-3.high"

    asyncio.run(story())
