"""The loops beside pulling go on whatever happens, and end when they are told to."""

import asyncio

import pytest
from worker_site import WorkerSite

from imagequeue.config.errors import QueueUnavailable
from imagequeue.worker import background
from imagequeue.worker.health import Health
from imagequeue.worker.upkeep import Upkeep


def loop_of(health: Health) -> Upkeep:
    """Return an upkeep of which only the loop itself is used."""
    made = object.__new__(Upkeep)
    made._health = health
    return made


def test_a_cancellation_that_a_step_swallowed_still_ends_the_loop() -> None:
    """As a client library does that takes it for its own timeout."""

    async def story() -> None:
        begun = asyncio.Event()

        async def step() -> None:
            begun.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise QueueUnavailable("timeout") from None

        task = asyncio.create_task(loop_of(Health())._again("board", 0.0, step))
        await begun.wait()
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_a_step_that_breaks_off_on_what_nobody_foresaw_is_tried_again() -> None:
    async def story() -> None:
        again = asyncio.Event()
        left = [KeyError("unforeseen")]

        async def step() -> None:
            if left:
                raise left.pop()
            again.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(loop_of(Health())._again("reap", 0.0, step))
        async with asyncio.timeout(5):
            await again.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_a_loop_that_breaks_off_is_begun_again_and_one_that_has_nothing_to_do_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "AGAIN_SECONDS", 0.0)

    async def story() -> tuple[int, int]:
        broken, idle = 0, 0
        again = asyncio.Event()

        async def breaks() -> None:
            nonlocal broken
            broken += 1
            if broken == 3:
                again.set()
                await asyncio.sleep(60)
            raise KeyError("unforeseen")

        async def ends() -> None:
            nonlocal idle
            idle += 1

        tasks = background.keep_running({"breaks": breaks, "ends": ends})
        async with asyncio.timeout(5):
            await again.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return broken, idle

    assert asyncio.run(story()) == (3, 1)


def test_a_step_that_fails_is_noted_and_tried_again() -> None:
    async def story() -> None:
        health, again = Health(), asyncio.Event()
        tries = 0

        async def step() -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise QueueUnavailable("away")
            again.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(loop_of(health)._again("board", 0.0, step))
        async with asyncio.timeout(5):
            await again.wait()
        assert health.sick == ("queue",)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_a_worker_takes_ended_jobs_off_rqs_registries_when_their_time_is_over(site: WorkerSite) -> None:
    """Nobody else does: without it each job ever done would leave an entry in the server's memory."""
    registry = site.settings.keys.registry("finished", "dall-e-3.default")
    site.redis.zadd(registry, {"long-over": 1, "kept-for-ever": -1})
    done = site.put()
    site.burst()
    assert set(site.redis.zrange(registry, 0, -1)) == {b"kept-for-ever", done.encode()}
