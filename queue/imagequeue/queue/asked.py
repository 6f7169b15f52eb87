"""What idempotency keys were used for, as far as Redis knows it: by the job, or by what outlives it.

`<own>:asked:<job id>`, text: the fingerprint of what a job with an idempotency key was asked by. It is written when the
job ends (ending.lua) and is kept for `idempotency_ttl_seconds`, longer than the job itself.
"""

from collections.abc import Sequence

from redis.exceptions import RedisError

from imagequeue.config.errors import QueueUnavailable
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text


async def fingerprints(scripts: Scripts, ids: Sequence[str]) -> dict[str, str]:
    """Return the fingerprints of those of the jobs that Redis knows; QueueUnavailable when it does not answer."""
    pipe = scripts.redis.pipeline(transaction=False)
    for job_id in ids:
        pipe.hget(scripts.keys.job(job_id), "iq_fingerprint")
        pipe.get(f"{scripts.keys.own}:asked:{job_id}")
    try:
        found = await pipe.execute()
    except RedisError as error:
        raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
    pairs = zip(ids, found[0::2], found[1::2], strict=True)
    marks = {job_id: kept if outlived is None else outlived for job_id, outlived, kept in pairs}
    return {job_id: text(mark) for job_id, mark in marks.items() if mark is not None}
