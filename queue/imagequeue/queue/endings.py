"""Waits for jobs to end: told by the queue's announcements, and by a look now and then, since one may be missed."""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection
from math import inf
from typing import Final

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from imagequeue.config.errors import QueueUnavailable
from imagequeue.queue.record import RECORDS_PER_PIPELINE_MAX
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text

ENDED: Final = frozenset({"finished", "failed", "canceled", "stopped"})
LOOK_SECONDS: Final = 1.0
GROUP_MAX: Final = 500
LOOKS_PER_SECOND_MAX: Final = 5_000
"""How many jobs are looked at in a second at most; more jobs are looked at less often."""


async def endings(scripts: Scripts, ids: Collection[str], *, timeout_seconds: float | None) -> AsyncGenerator[set[str]]:
    """Yield the jobs in groups, each job once, as they end or turn out to be unknown to Redis.

    TimeoutError when some have not ended after `timeout_seconds` (None: never). QueueUnavailable when Redis is away.
    """
    open_ids = set(ids)
    deadline = inf if timeout_seconds is None else time.monotonic() + timeout_seconds
    try:
        async with scripts.redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(f"{scripts.keys.own}:events")
            looked_at = -inf
            while open_ids:
                if time.monotonic() - looked_at >= max(LOOK_SECONDS, len(open_ids) / LOOKS_PER_SECOND_MAX):
                    ended = await _ended(scripts, open_ids)
                    looked_at = time.monotonic()
                else:
                    ended = await _announced(channel, open_ids, min(LOOK_SECONDS, max(deadline - time.monotonic(), 0)))
                open_ids -= ended
                if ended:
                    yield ended
                if open_ids and time.monotonic() >= deadline:
                    raise TimeoutError(f"{len(open_ids)} of {len(ids)} jobs have not ended in {timeout_seconds:g} s")
    except RedisError as error:
        raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error


async def _announced(channel: PubSub, ids: Collection[str], timeout_seconds: float) -> set[str]:
    """Those whose end is announced within a time, and what was announced with the first of them."""
    ended: set[str] = set()
    message = await channel.get_message(timeout=timeout_seconds)
    while message is not None:
        ended |= _ended_by(message["data"], ids)
        message = await channel.get_message(timeout=0) if len(ended) < GROUP_MAX else None
    return ended


async def _ended(scripts: Scripts, ids: Collection[str]) -> set[str]:
    """Those that have ended, or that Redis does not have."""
    wanted, found = list(ids), set()
    for start in range(0, len(wanted), RECORDS_PER_PIPELINE_MAX):
        some = wanted[start : start + RECORDS_PER_PIPELINE_MAX]
        pipe = scripts.redis.pipeline(transaction=False)
        for job_id in some:
            pipe.hget(scripts.keys.job(job_id), "status")
        statuses = await pipe.execute()
        found |= {job_id for job_id, status in zip(some, statuses, strict=True) if not status or text(status) in ENDED}
        await asyncio.sleep(0)
    return found


def _ended_by(announced: bytes | str, ids: Collection[str]) -> set[str]:
    job_id, _, status = text(announced).partition(" ")
    return {job_id} if job_id in ids and status in ENDED else set()
