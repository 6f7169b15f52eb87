"""Sketches of images in the making, from the worker that calls to the doors that wait: heard now, or never.

A message is the event's JSON text, as the provider sent it. Nothing is kept: who does not listen misses nothing that
the finished image would not show.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from imagequeue.config.errors import QueueUnavailable
from imagequeue.queue.scripts import Scripts

SKETCH_BYTES_MAX: Final = 16 * 1024 * 1024
LAST_SECONDS: Final = 0.02

log = structlog.get_logger("imagequeue.queue")


async def publish(scripts: Scripts, job_id: str, event: bytes) -> None:
    """Tell whoever listens; a sketch that cannot be told is left out."""
    if len(event) > SKETCH_BYTES_MAX:
        return
    try:
        await scripts.redis.publish(_channel(scripts, job_id), event)
    except RedisError as error:
        log.warning("a sketch was not told", job=job_id, error=str(error))


class Listening:
    """Hears one job's sketches."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub

    async def heard(self, seconds: float) -> bytes | None:
        """Return the next sketch, None when there is none within so many seconds."""
        try:
            message = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=seconds)
        except RedisError as error:
            raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
        data = None if message is None else message["data"]
        return data if isinstance(data, bytes) else None


@asynccontextmanager
async def listening(scripts: Scripts, job_id: str) -> AsyncIterator[Listening]:
    """Listen for the length of a block; whoever publishes from then on is heard."""
    pubsub = scripts.redis.pubsub()
    try:
        await pubsub.subscribe(_channel(scripts, job_id))
        await pubsub.get_message(timeout=LAST_SECONDS)  # the server's word that it listens
        yield Listening(pubsub)
    except RedisError as error:
        raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py's own


def _channel(scripts: Scripts, job_id: str) -> str:
    return f"{scripts.keys.own}:sketch:{job_id}"
