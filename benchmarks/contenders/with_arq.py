"""arq: an asyncio queue on Redis. It has no priorities and no rate limit; a refused job is retried when told to.

python with_arq.py enqueue PREFIX COUNT PRIORITY    |    arq with_arq.WorkerSettings
"""

import asyncio
import sys
from typing import Any, ClassVar

from arq import Retry, create_pool
from arq.connections import RedisSettings
from calling import CALL_SECONDS_MAX, CONCURRENCY, DONE, REDIS_URL, TRIES_MAX, Refused, call, session


async def image(context: dict[str, Any], job: str) -> None:
    """One job: one call."""
    try:
        await call(context["client"], job)
    except Refused as refused:
        raise Retry(defer=refused.seconds) from refused
    await context["redis"].sadd(DONE, job)


async def start(context: dict[str, Any]) -> None:
    """Open the client."""
    context["client"] = session()


async def stop(context: dict[str, Any]) -> None:
    """Close the client."""
    await context["client"].close()


class WorkerSettings:
    """What `arq` reads."""

    functions: ClassVar = [image]
    redis_settings = RedisSettings.from_dsn(REDIS_URL)
    on_startup = start
    on_shutdown = stop
    max_jobs = CONCURRENCY
    max_tries = TRIES_MAX
    job_timeout = CALL_SECONDS_MAX
    keep_result = 0


async def enqueue(prefix: str, count: int) -> None:
    """Put jobs on the queue."""
    pool = await create_pool(RedisSettings.from_dsn(REDIS_URL))
    for i in range(count):
        await pool.enqueue_job("image", f"{prefix}{i}", _job_id=f"{prefix}{i}")
    await pool.aclose()


if __name__ == "__main__":
    asyncio.run(enqueue(sys.argv[2], int(sys.argv[3])))
