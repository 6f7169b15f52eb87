"""RQ with its own worker: one call at a time in each process, three queues in order of priority, retries by RQ.

python with_rq.py enqueue PREFIX COUNT PRIORITY    |    rq worker high default low
"""

import asyncio
import sys

from calling import DONE, REDIS_URL, TRIES_MAX, call, session
from redis import Redis
from rq import Queue, Retry


def image(job: str) -> None:
    """One job: one call. A refusal is an error, and RQ retries."""
    asyncio.run(_image(job))
    Redis.from_url(REDIS_URL).sadd(DONE, job)


async def _image(job: str) -> None:
    async with session() as client:
        await call(client, job)


def enqueue(prefix: str, count: int, priority: str) -> None:
    """Put jobs on a queue."""
    queue = Queue(priority, connection=Redis.from_url(REDIS_URL), serializer="json")
    jobs = [
        Queue.prepare_data("with_rq.image", (f"{prefix}{i}",), retry=Retry(max=TRIES_MAX), job_id=f"{prefix}{i}")
        for i in range(count)
    ]
    queue.enqueue_many(jobs)


if __name__ == "__main__":
    enqueue(sys.argv[2], int(sys.argv[3]), sys.argv[4])
