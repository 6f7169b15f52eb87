"""Jobs that were put on a queue with RQ's own client: taken into line, or refused with the reason on record."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import JOB_ID_PATTERN, Job, queue_name
from imagequeue.queue.claims import exc_string
from imagequeue.queue.entries import microseconds
from imagequeue.queue.flights import Flight
from imagequeue.queue.payload import DATA_BYTES_MAX, decode
from imagequeue.queue.scripts import Scripts

FOREIGN_MAX = 200

Check = Callable[[Job, str], tuple[Job, int]]
"""Checks a job that was found on a queue of the given model; gives it with its model set, and its token estimate."""
FlightOf = Callable[[Job], Flight | None]
"""Says what part a checked job takes in the cache."""
OverflowOf = Callable[[Job], str]
"""Says which other models may serve a checked job while it is queued (ways_out)."""


@dataclass(frozen=True, kw_only=True)
class Intake:
    """How many foreign jobs one look found, took into line, and refused."""

    found: int
    adopted: int
    refused: int


async def take_in(
    scripts: Scripts,
    queue: str,
    check: Check,
    *,
    ttl_seconds: int,
    flight_of: FlightOf = lambda _: None,
    overflow_of: OverflowOf = lambda _: "",
) -> Intake:
    """Look for foreign jobs on a queue, once, and deal with each; they cannot be claimed before."""
    rows = await scripts.run("intake", [queue, FOREIGN_MAX, DATA_BYTES_MAX])
    adopted = refused = 0
    for raw_id, _, size, data, index in rows:
        job_id = raw_id.decode(errors="replace")
        try:
            job, tokens = _inspect(job_id, int(size), data, queue, check)
        except JobRefused as problem:
            refused += await _refuse(scripts, queue, raw_id, problem, ttl_seconds)
        else:
            parts = _parts(flight_of(job), overflow_of(job))
            adopted += await _adopt(scripts, queue, job_id, job, tokens, ttl_seconds, int(index), parts)
    return Intake(found=len(rows), adopted=adopted, refused=refused)


def _inspect(job_id: str, size: int, data: bytes, queue: str, check: Check) -> tuple[Job, int]:
    if not JOB_ID_PATTERN.fullmatch(job_id):
        raise JobRefused("id", "1 to 64 letters, digits, _ and - are accepted")
    if size > DATA_BYTES_MAX:
        raise JobRefused("data", f"at most {DATA_BYTES_MAX} bytes are accepted, found {size}")
    return check(decode(data), queue.rpartition(".")[0])


async def _adopt(
    scripts: Scripts, queue: str, job_id: str, job: Job, tokens: int, ttl: int, index: int, parts: tuple[str, str, str]
) -> int:
    """Take a job into line: its queue says its priority, a model of its own moves it to that model's queue."""
    home = queue_name(str(job.model), queue.rpartition(".")[2])
    times = (microseconds(job.deadline), microseconds(job.not_before))
    return int(await scripts.run("adopt", [queue, job_id, job.tenant, job.n, tokens, ttl, *times, home, index, *parts]))


def _parts(flight: Flight | None, overflow: str) -> tuple[str, str, str]:
    return (flight.form, flight.mode, overflow) if flight else ("", "", overflow)


async def _refuse(scripts: Scripts, queue: str, job_id: bytes, problem: JobRefused, ttl: int) -> int:
    error = json.dumps({"code": "job_refused", "message": str(problem), "retryable": False})
    return int(await scripts.run("refuse", [queue, job_id, ttl, error, exc_string(f"JobRefused: {problem}")]))
