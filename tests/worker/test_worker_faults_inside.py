"""Faults of our own in the middle of a job: a bounded number of calls, and nothing in doubt that is sure."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError
from worker_life import LifeWorld, live_through

from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.claims import Claims
from imagequeue.worker.engine import Engine

TRIES = 2


async def _live(world: LifeWorld) -> bool:
    """Let a worker's engine live what it can claim of what waits; return whether there was something."""
    claims = await world.worker()
    await world.every_delay_ends()
    given = (await claims.claim(world.board.encoded, 1)).claims
    engine = object.__new__(Engine)
    engine._life = world.life
    for claim in given:
        task = asyncio.create_task(engine._live(claims, claim))
        called = asyncio.create_task(world.caller.called(len(world.caller.calls) + 1))
        await asyncio.wait({task, called}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            world.caller.give(-1)
        await task
        called.cancel()
    return bool(given)


def test_a_job_whose_answers_cannot_be_booked_is_called_no_more_often_than_it_may_be_tried(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the fault is, it is there again at the next try, and each try may be billed."""

    async def fails(*_: object) -> bool:
        raise ValueError("a fault that nobody foresaw")

    monkeypatch.setattr(Ledger, "settle", fails)

    async def story(world: LifeWorld) -> None:
        job_id = await world.put(max_attempts=TRIES)
        for _ in range(TRIES + 2):
            if not await _live(world):
                break
        assert len(world.caller.calls) == TRIES
        assert (await world.status(job_id), await world.outcome(job_id)) == ("failed", "failed")
        assert set(await world.states(job_id)) == {"in_doubt"}

    live_through(server_url, tmp_path, story)


def test_a_fault_before_the_call_leaves_nothing_in_doubt(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was certainly not sent is given back at once."""

    async def refused(*_: object, **__: object) -> Any:
        raise ResponseError("a fault that nobody foresaw")

    async def story(world: LifeWorld) -> None:
        job_id = await world.put()
        with monkeypatch.context() as patch:
            patch.setattr(Claims, "permit", refused)
            assert await _live(world)
        assert await world.states(job_id) == ["voided"]
        assert await _live(world)
        assert await world.states(job_id) == ["voided", "settled"]

    live_through(server_url, tmp_path, story)
