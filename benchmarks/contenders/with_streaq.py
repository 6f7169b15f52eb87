"""streaq: an asyncio queue on Redis streams, with priorities and no rate limit; a refused job is retried when told to.

python with_streaq.py enqueue PREFIX COUNT PRIORITY    |    streaq run with_streaq:worker
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from calling import CALL_SECONDS_MAX, CONCURRENCY, DONE, REDIS_URL, TRIES_MAX, Refused, call, session
from streaq import StreaqRetry, Worker


@asynccontextmanager
async def lifespan() -> AsyncIterator[aiohttp.ClientSession]:
    """Open the client for a worker's life."""
    async with session() as client:
        yield client


worker = Worker(redis_url=REDIS_URL, concurrency=CONCURRENCY, priorities=["low", "default", "high"], lifespan=lifespan)


@worker.task(max_tries=TRIES_MAX, timeout=CALL_SECONDS_MAX, ttl=0, silent=True)
async def image(job: str) -> None:
    """One job: one call."""
    try:
        await call(worker.context, job)
    except Refused as refused:
        raise StreaqRetry(delay=refused.seconds) from refused
    await worker.redis.sadd(DONE, [job])


async def enqueue(prefix: str, count: int, priority: str) -> None:
    """Put jobs on the queue."""
    async with worker:
        await worker.enqueue_many([image.enqueue(f"{prefix}{i}").start(priority=priority) for i in range(count)])


if __name__ == "__main__":
    asyncio.run(enqueue(sys.argv[2], int(sys.argv[3]), sys.argv[4]))
