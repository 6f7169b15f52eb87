"""Scripts that go to the server together: each does its own work, fails on its own, and is known to be unknown."""

import asyncio

import pytest
from queue_world import DONE, World
from redis.exceptions import ResponseError

from imagequeue.config.errors import QueueUnavailable
from imagequeue.queue.claims import Claims
from imagequeue.queue.connection import connect
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.together import RUNS_MAX, Together


def test_jobs_that_end_together_are_each_settled_once(world: World) -> None:
    """More than one trip holds; a claim that was settled before is refused among the others."""
    ids = world.fill(RUNS_MAX + 6)
    worker = world.worker()
    claims = worker.claim(len(ids))
    worker.settle(claims[3])

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(worker.claims.settle(claim, DONE) for claim in claims))

    assert [i for i, settled in enumerate(world.do(all_of_them())) if not settled] == [3]
    assert world.registry("finished") == set(ids)
    world.check()


def test_scripts_that_a_new_server_does_not_know_are_run_once(world: World) -> None:
    ids = world.fill(3)
    worker = world.worker()
    claims = worker.claim(3)
    world.raw.script_flush()

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(worker.claims.settle(claim, DONE) for claim in claims))

    assert world.do(all_of_them()) == [True] * 3
    assert world.registry("finished") == set(ids)


def test_one_that_fails_leaves_the_others_alone(world: World) -> None:
    """The error is its caller's alone."""

    async def story() -> list[object]:
        together = Together(world.scripts)
        runs = [together.run("pending", []), together.run("claim", ["nobody", 1, "{}"]), together.run("pending", [])]
        return await asyncio.gather(*runs, return_exceptions=True)

    first, second, third = world.do(story())
    assert (first, third) == (0, 0)
    assert isinstance(second, ResponseError)


def test_without_a_server_every_caller_hears_that_it_is_not_known(world: World) -> None:
    async def story() -> None:
        nowhere = connect("redis://127.0.0.1:1")
        claims = Claims(Scripts(nowhere, world.keys), "w")
        told = await asyncio.gather(*(claims.settle(claim, DONE) for claim in held), return_exceptions=True)
        assert [type(error) for error in told] == [QueueUnavailable] * 2
        await nowhere.aclose()

    world.fill(2)
    held = world.worker().claim(2)
    world.do(story())


def test_a_caller_that_left_does_not_keep_the_others_waiting(world: World) -> None:
    world.fill(2)
    worker = world.worker()
    gone, stays = worker.claim(2)

    async def story() -> bool:
        leaving = asyncio.create_task(worker.claims.settle(gone, DONE))
        staying = asyncio.create_task(worker.claims.settle(stays, DONE))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        return await staying

    assert world.do(story())
