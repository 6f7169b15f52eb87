"""A job that is cancelled while it runs: it ends in both books, once, and a second thought is a fresh start."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from worker_life import LifeWorld, live_through

from imagequeue.queue.acts import Acts
from imagequeue.queue.claims import Claim, Claims

AWAY = {"error": {"code": "server_is_overloaded", "message": "later", "type": "server_error", "param": None}}
LIVES_MAX = 10


def _acts(world: LifeWorld) -> Acts:
    return Acts(world.scripts, world.opened.ledger, ttl_seconds=1000)


async def _calling(world: LifeWorld, claims: Claims, claim: Claim) -> asyncio.Task[None]:
    calls = len(world.caller.calls)
    life = asyncio.create_task(world.life.run(claims, claim))
    await world.caller.called(calls + 1)
    return life


async def _serve(world: LifeWorld, claims: Claims) -> None:
    """Live whatever can be claimed; nothing of it may call."""
    for _ in range(LIVES_MAX):
        given = (await claims.claim(world.board.encoded, 10)).claims
        if not given:
            return
        for claim in given:
            await world.life.run(claims, claim)
    raise AssertionError("jobs that are claimed again and again")


async def _both_say_cancelled(world: LifeWorld, job_id: str) -> None:
    assert (await world.status(job_id), await world.outcome(job_id)) == ("canceled", "cancelled")


async def _held_back(world: LifeWorld, claims: Claims, claim: Claim) -> None:
    """It is cancelled before its call is sent."""
    await _acts(world).cancel(claim.id)
    await world.life.run(claims, claim)


async def _call_fails(world: LifeWorld, claims: Claims, claim: Claim) -> None:
    """Its call would be made again."""
    life = await _calling(world, claims, claim)
    await _acts(world).cancel(claim.id)
    world.caller.give(0, 503, AWAY)
    await life


async def _worker_dies(world: LifeWorld, claims: Claims, claim: Claim) -> None:
    await _acts(world).cancel(claim.id)
    await world.lose(claims)


async def _worker_leaves(world: LifeWorld, claims: Claims, claim: Claim) -> None:
    await _acts(world).cancel(claim.id)
    await claims.retire([])


@pytest.mark.parametrize("how", [_held_back, _call_fails, _worker_dies, _worker_leaves])
def test_a_job_cancelled_while_it_runs_ends_in_the_ledger_too(
    server_url: str, tmp_path: Path, how: Callable[[LifeWorld, Claims, Claim], Awaitable[None]]
) -> None:
    async def story(world: LifeWorld) -> None:
        await world.put()
        claims, other = await world.worker(), await world.worker()
        claim = await world.claim(claims)
        await how(world, claims, claim)
        calls = len(world.caller.calls)
        await _serve(world, other)
        await _both_say_cancelled(world, claim.id)
        assert len(world.caller.calls) == calls
        assert "held" not in await world.states(claim.id)

    live_through(server_url, tmp_path, story)


def test_a_job_that_was_cancelled_and_is_tried_again_by_the_same_worker_is_called(
    server_url: str, tmp_path: Path
) -> None:
    """What a worker heard of an earlier cancellation does not hold back a job that a person wants after all."""

    async def story(world: LifeWorld) -> None:
        job_id = await world.put()
        claims = await world.worker()
        life = await _calling(world, claims, await world.claim(claims))
        await _acts(world).cancel(job_id)
        world.caller.give(0, 503, AWAY)
        await life
        await _serve(world, claims)
        assert (await _acts(world).retry(job_id)).status == "queued"
        life = await _calling(world, claims, await world.claim(claims))
        world.caller.give(1)
        await life
        assert (await world.status(job_id), await world.outcome(job_id)) == ("finished", "succeeded")
        assert await world.states(job_id) == ["voided", "settled"]

    live_through(server_url, tmp_path, story)


def test_a_job_cancelled_on_its_way_into_a_batch_leaves_no_doubt(server_url: str, tmp_path: Path) -> None:
    """Its attempt has been sent nowhere: the batch, which finds the job over, voids it."""

    async def story(world: LifeWorld) -> None:
        job_id = await world.put(model="gpt-image-2", delivery="batch")
        claims = await world.worker()
        claim = await world.claim(claims)
        await _acts(world).cancel(job_id)
        await world.life.run(claims, claim)
        await _serve(world, claims)
        await _both_say_cancelled(world, job_id)
        assert await world.states(job_id) == ["held"]

    live_through(server_url, tmp_path, story)
