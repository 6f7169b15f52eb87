"""A lane runs scripts as the pool does: one at a time over a connection of its own, also after that one was closed."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from queue_server import RunningServer

from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.job import Job
from imagequeue.config.keys import Keys
from imagequeue.queue.connection import connect
from imagequeue.queue.entries import Accepted, Entry, enqueue, new_job_id
from imagequeue.queue.lane import Lane

AT_ONCE = 20


def with_lane(valkey: RunningServer, story: Callable[[Lane], Awaitable[None]]) -> None:
    """Run a story with a lane under prefixes that nobody else uses."""

    async def run() -> None:
        prefix, redis = f"t{uuid4().hex}", connect(valkey.url())
        try:
            await story(Lane(redis, Keys(rq=prefix, own=f"{prefix}:iq")))
        finally:
            await redis.aclose()

    asyncio.run(run())


async def queue_one(lane: Lane) -> Accepted:
    job = Job(prompt="x", model="dall-e-3")
    entry = Entry(id=new_job_id(job), job=job)
    (accepted,) = await enqueue(lane, [entry], result_ttl_seconds=60, timeout_seconds=60)
    return accepted


async def close_all_but_ours(lane: Lane) -> None:
    """Close every connection of the lane's client, as a server that was started again."""
    mine = int(await lane.redis.client_id())
    for client in await lane.redis.client_list():
        if int(client["id"]) != mine:
            await lane.redis.execute_command("CLIENT", "KILL", "ID", client["id"])


def test_jobs_are_queued_one_by_one_and_many_at_once(valkey: RunningServer) -> None:
    async def story(lane: Lane) -> None:
        await lane.redis.script_flush()  # a script that the server does not know is told to it
        assert (await queue_one(lane)).created
        accepted = await asyncio.gather(*(queue_one(lane) for _ in range(AT_ONCE)))
        assert len({one.id for one in accepted}) == AT_ONCE
        assert await lane.redis.llen(lane.keys.queue("dall-e-3.default")) == AT_ONCE + 1

    with_lane(valkey, story)


def test_a_job_is_queued_once_when_the_connection_was_closed_meanwhile(own_valkey: RunningServer) -> None:
    async def story(lane: Lane) -> None:
        await queue_one(lane)
        await close_all_but_ours(lane)
        await queue_one(lane)
        assert await lane.redis.llen(lane.keys.queue("dall-e-3.default")) == 2

    with_lane(own_valkey, story)


def test_a_server_that_is_away_is_told_of_and_found_again(own_valkey: RunningServer) -> None:
    async def story(lane: Lane) -> None:
        await queue_one(lane)
        lane.redis.connection_pool.connection_kwargs["port"] = 1
        for connection in lane.redis.connection_pool._in_use_connections:
            connection.port, before = 1, connection.port
            await connection.disconnect()
        with pytest.raises(QueueUnavailable):
            await queue_one(lane)
        for connection in lane.redis.connection_pool._in_use_connections:
            connection.port = before
        assert (await queue_one(lane)).created

    with_lane(own_valkey, story)


def test_an_answer_that_nobody_waits_for_any_more_is_nobody_elses(valkey: RunningServer) -> None:
    async def story(lane: Lane) -> None:
        for _ in range(AT_ONCE):
            left = asyncio.create_task(queue_one(lane))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            left.cancel()
            await asyncio.gather(left, return_exceptions=True)
            accepted = await queue_one(lane)
            assert await lane.redis.hget(lane.keys.job(accepted.id), "status") == b"queued"

    with_lane(valkey, story)
