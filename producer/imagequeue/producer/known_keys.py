"""Looks up idempotency keys before a file is queued, so that a key used before with another body stops all of it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from redis.exceptions import RedisError

from imagequeue.config.errors import JobRefused, QueueUnavailable
from imagequeue.producer.job_file import Line
from imagequeue.queue.entries import BATCH_MAX
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text


async def refuse_known(scripts: Scripts, lines: Iterable[Line]) -> None:
    """JobRefused names the first line whose idempotency key was used before with another body."""
    keyed = (line for line in lines if line.entry.job.idempotency_key is not None)
    for batch in _batches(keyed):
        for line, mark in zip(batch, await _marks(scripts, batch), strict=True):
            if mark not in (None, line.entry.fingerprint):
                key = line.entry.job.idempotency_key
                raise JobRefused(f"line {line.number}: idempotency_key", f"{key!r} was used before with another body")


async def _marks(scripts: Scripts, lines: Sequence[Line]) -> list[str | None]:
    """The fingerprints under which the lines' ids stand in Redis."""
    pipe = scripts.redis.pipeline(transaction=False)
    for line in lines:
        pipe.hget(scripts.keys.job(line.entry.id), "iq_fingerprint")
    try:
        found = await pipe.execute()
    except RedisError as error:
        raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
    return [None if mark is None else text(mark) for mark in found]


def _batches(lines: Iterable[Line]) -> Iterator[Sequence[Line]]:
    remaining = iter(lines)
    while batch := list(islice(remaining, BATCH_MAX)):
        yield batch
