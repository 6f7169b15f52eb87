"""Waiting for a job: woken by announcements, looking now and then, ended by a deadline or a client that leaves."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Final, TypeVar

from redis.exceptions import RedisError
from starlette.requests import Request

from imagequeue.config.errors import QueueUnavailable
from imagequeue.producer.door.parts import Door
from imagequeue.queue.endings import ENDED
from imagequeue.queue.text import text

LOOK_SECONDS: Final = 5.0

Answer = TypeVar("Answer")


class ClientGone(Exception):
    """The client hung up while its request was served."""


async def wait_for_end(door: Door, job_id: str, seconds: float, *, until_closing: bool = True) -> bool:
    """Return True once a job has ended or is unknown to Redis, False after so many seconds or when the door closes."""
    deadline = time.monotonic() + seconds
    with door.announcements.of(job_id) as changed:
        while True:  # ends at the deadline
            changed.clear()
            if await queue_status(door, job_id) in (None, *ENDED):
                return True
            left = deadline - time.monotonic()
            if left <= 0 or (until_closing and door.announcements.closing):
                return False
            await wait_for_change(changed, min(left, LOOK_SECONDS))


async def wait_for_change(changed: asyncio.Event, seconds: float) -> bool:
    """Return whether the event was set within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True


async def queue_status(door: Door, job_id: str) -> str | None:
    """Return RQ's word for a job's status, None when Redis does not have it."""
    try:
        found = await door.scripts.redis.hget(door.scripts.keys.job(job_id), "status")
    except RedisError as error:
        raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
    return None if found is None else text(found)


async def unless_gone(request: Request, work: Awaitable[Answer]) -> Answer:
    """Return what `work` returns; ClientGone as soon as the client hangs up. The body must have been read before."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
