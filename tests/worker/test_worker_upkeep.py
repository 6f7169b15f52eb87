"""The loops beside pulling go on whatever happens, and end when they are told to."""

import asyncio

from imagequeue.config.errors import QueueUnavailable
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
