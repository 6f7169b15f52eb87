"""Looks up idempotency keys before a file is queued, so that a key used before with another body stops all of it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from imagequeue.config.errors import JobRefused
from imagequeue.producer.job_file import Line
from imagequeue.queue.asked import fingerprints
from imagequeue.queue.entries import BATCH_MAX
from imagequeue.queue.scripts import Scripts


async def refuse_known(scripts: Scripts, lines: Iterable[Line]) -> None:
    """JobRefused names the first line whose idempotency key was used before with another body."""
    keyed = (line for line in lines if line.entry.job.idempotency_key is not None)
    for batch in _batches(keyed):
        known = await fingerprints(scripts, [line.entry.id for line in batch])
        for line in batch:
            if known.get(line.entry.id, line.entry.fingerprint) != line.entry.fingerprint:
                key = line.entry.job.idempotency_key
                raise JobRefused(f"line {line.number}: idempotency_key", f"{key!r} was used before with another body")


def _batches(lines: Iterable[Line]) -> Iterator[Sequence[Line]]:
    remaining = iter(lines)
    while batch := list(islice(remaining, BATCH_MAX)):
        yield batch
