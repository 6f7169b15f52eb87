"""Gives jobs the trace that they belong to, in their metadata, so that the worker goes on with it. Pure."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from imagequeue.config.job import METADATA_BYTES_MAX, Job
from imagequeue.config.tracing import CARRIED, CARRIED_CHARACTERS_MAX
from imagequeue.queue.entries import Entry

ROOM_BYTES: Final = len(CARRIED) + CARRIED_CHARACTERS_MAX + 8
"""What the trace takes with its quotes."""


def carrying(entries: Sequence[Entry], trace: str | None) -> list[Entry]:
    """Return the entries with the trace in their jobs; the job as it was asked for is what they are known by.

    A job that names a trace of its own, or whose metadata are full, keeps them as they are.
    """
    if trace is None or len(trace) > CARRIED_CHARACTERS_MAX:
        return list(entries)
    return [_with(entry, trace) if _has_room(entry.job) else entry for entry in entries]


def _has_room(job: Job) -> bool:
    if CARRIED in job.metadata:
        return False
    return len(json.dumps(job.metadata, ensure_ascii=False).encode()) + ROOM_BYTES <= METADATA_BYTES_MAX


def _with(entry: Entry, trace: str) -> Entry:
    job = entry.job.model_copy(update={"metadata": {**entry.job.metadata, CARRIED: trace}})
    return replace(entry, job=job, print=entry.fingerprint)
