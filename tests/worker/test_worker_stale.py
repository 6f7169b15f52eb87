"""A worker that was given up for dead comes back at the worst moments; queue and ledger still tell one story."""

import asyncio
from pathlib import Path

import pytest
from worker_life import LifeWorld, life_world

REJECTED = {"error": {"code": "moderation_blocked", "message": "no", "type": "x", "param": None}}


async def both_calling(world: LifeWorld) -> tuple[str, asyncio.Task[None], asyncio.Task[None]]:
    """The first worker freezes between claim and hold; the second takes over and calls; then the first wakes up.

    Returns the job and both lives, the second worker's first: the provider's call 0 is the second worker's.
    """
    job_id = await world.put()
    first, second = await world.worker(), await world.worker()
    old = await world.claim(first)
    await world.lose(first)
    new = await world.claim(second)
    holder = asyncio.create_task(world.life.run(second, new))
    await world.caller.called(1)
    stale = asyncio.create_task(world.life.run(first, old))
    second_call = asyncio.create_task(world.caller.called(2))
    await asyncio.wait({second_call, stale}, return_when=asyncio.FIRST_COMPLETED)
    second_call.cancel()
    return job_id, holder, stale


async def finish_up(world: LifeWorld, job_id: str) -> None:
    """Let a third worker take the job for as long as the queue gives it."""
    third = await world.worker()
    while await world.status(job_id) == "queued":
        calls = len(world.caller.calls)
        life = asyncio.create_task(world.life.run(third, await world.claim(third)))
        async with asyncio.timeout(10):
            while not life.done():
                if len(world.caller.calls) > calls and not world.caller.calls[-1].done():
                    world.caller.give(-1)
                await asyncio.sleep(0.01)


async def one_story(world: LifeWorld, job_id: str) -> None:
    """Assert that queue and ledger agree that the job succeeded, once, and nothing is left held."""
    assert await world.status(job_id) == "finished"
    assert await world.outcome(job_id) == "succeeded"
    states = await world.states(job_id)
    assert states.count("settled") == 1
    assert "held" not in states


@pytest.mark.parametrize("order", ["holder first", "stale first", "stale dies"])
def test_the_queue_never_says_finished_before_the_ledger_does(server_url: str, tmp_path: Path, order: str) -> None:
    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            job_id, holder, stale = await both_calling(world)
            if order == "stale first" and len(world.caller.calls) > 1:
                world.caller.give(1)
                await stale
            world.caller.give(0)
            await holder
            assert (await world.status(job_id) == "finished") <= (await world.outcome(job_id) == "succeeded")
            if order == "holder first" and len(world.caller.calls) > 1:
                world.caller.give(1)
            elif not stale.done():
                stale.cancel()
            await asyncio.wait([stale])
            await finish_up(world, job_id)
            await one_story(world, job_id)

    asyncio.run(story())


def test_a_job_is_not_failed_in_the_queue_alone(server_url: str, tmp_path: Path) -> None:
    """The holder's call is rejected for good, but the ledger had given its attempt up for the stale worker's."""

    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            job_id, holder, stale = await both_calling(world)
            world.caller.give(0, 400, REJECTED)
            await holder
            assert (await world.status(job_id) == "failed") <= (await world.outcome(job_id) == "failed")
            stale.cancel()
            await asyncio.wait([stale])
            if await world.status(job_id) == "queued":
                await finish_up(world, job_id)
                await one_story(world, job_id)

    asyncio.run(story())


def test_a_stale_worker_makes_no_second_call(server_url: str, tmp_path: Path) -> None:
    """The ledger has seen a later delivery of the job than the stale worker's, so that it gets no hold."""

    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            job_id, holder, stale = await both_calling(world)
            await stale
            assert len(world.caller.calls) == 1
            world.caller.give(0)
            await holder
            await one_story(world, job_id)
            assert await world.states(job_id) == ["settled"]

    asyncio.run(story())


def test_a_stale_worker_makes_no_call_for_a_job_that_was_cancelled_meanwhile(server_url: str, tmp_path: Path) -> None:
    """The job ended without an attempt while its first worker stood still between claim and hold."""

    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            job_id = await world.put()
            first, second = await world.worker(), await world.worker()
            old = await world.claim(first)
            await world.lose(first)
            await world.scripts.redis.hset(world.scripts.keys.job(job_id), "iq_cancel", "1")
            await world.life.run(second, await world.claim(second))
            assert await world.outcome(job_id) == "cancelled"
            await world.life.run(first, old)
            assert world.caller.calls == []
            assert await world.states(job_id) == []
            assert await world.status(job_id) == "canceled"

    asyncio.run(story())


def test_a_stale_answer_is_booked_and_changes_nothing_in_the_queue(server_url: str, tmp_path: Path) -> None:
    """The first worker's call was out when it was given up; its answer comes after the second worker's hold."""

    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            job_id = await world.put()
            first, second = await world.worker(), await world.worker()
            stale = asyncio.create_task(world.life.run(first, await world.claim(first)))
            await world.caller.called(1)
            await world.lose(first)
            holder = asyncio.create_task(world.life.run(second, await world.claim(second)))
            await world.caller.called(2)
            world.caller.give(0)
            await stale
            assert await world.status(job_id) == "started"
            world.caller.give(1)
            await holder
            await one_story(world, job_id)
            assert sorted(await world.states(job_id)) == ["reconciled", "settled"]

    asyncio.run(story())
