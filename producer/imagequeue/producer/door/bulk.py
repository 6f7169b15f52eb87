"""Any number of jobs in one request: JSON lines, read, checked and queued in chunks, so memory stays small."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic_core import from_json
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.errors import IdempotencyConflict, JobRefused
from imagequeue.config.job import JOB_BYTES_MAX
from imagequeue.producer.client import JobHandle
from imagequeue.producer.door.bodies import BULK_BYTES_MAX, counted
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import NO_RETRY, Problem
from imagequeue.producer.door.prompts import Told, as_json, findings_about, mode_of
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route
from imagequeue.producer.door.submitting import entry_of, submit, taken_in
from imagequeue.queue.entries import BATCH_MAX, Entry

CHUNK_JOBS: Final = BATCH_MAX
"""Jobs that are checked together and queued in one step of the server: all of them or none."""
FLAGGED_LINES_MAX: Final = 1_000
"""So many lines of which the prompt check says something are told in full; all are counted."""
LINES_AT_A_STRETCH: Final = 5
"""After so many lines others have their turn: other requests, and the chunk that is on its way to the server.

Sending that takes about ten turns; long ones would keep it here until the next chunk is read, and the server idle.
"""


def bulk_routes() -> list[Route]:
    """Return the route of many jobs."""
    return [route("/v1/jobs/bulk", "POST", create_bulk, scope="submit")]


@dataclass(kw_only=True)
class Tally:
    """How far a request has come. `lines` counts empty ones too; `next_line` is where another request may go on."""

    lines: int = 0
    jobs: int = 0
    created: int = 0
    chunks: int = 0
    next_line: int = 1
    handles: list[JobHandle] | None = None
    findings: list[dict[str, object]] | None = None
    flagged: int = 0

    def note(self, found: Told) -> None:
        """Note what the prompt check says of the present line, of so many lines in full."""
        self.flagged += bool(found)
        if found and self.findings is not None and len(self.findings) < FLAGGED_LINES_MAX:
            self.findings.append({"line": self.lines, "findings": found})

    def add(self, handles: Sequence[JobHandle]) -> None:
        """Count a chunk that was queued."""
        self.jobs += len(handles)
        self.created += sum(handle.created for handle in handles)
        self.chunks += 1
        if self.handles is not None:
            self.handles += handles

    def as_json(self) -> dict[str, object]:
        """Return the report."""
        counts: dict[str, object] = {
            "jobs": self.jobs,
            "created": self.created,
            "chunks": self.chunks,
            "next_line": self.next_line,
        }
        return counts if self.findings is None else {**counts, "flagged": self.flagged, "findings": self.findings}

    def with_handles(self) -> dict[str, object]:
        """Return the report with the ids in order, if they were asked for."""
        if self.handles is None:
            return self.as_json()
        return {**self.as_json(), "handles": [{"id": one.id, "created": one.created} for one in self.handles]}


async def create_bulk(asked: Asked) -> Response:
    """Queue the jobs of a JSON lines body; 202 with how many.

    A line that is wrong stops the request: its chunk is not queued, the chunks before it are, and the error says
    the line and where to go on. With `handles=1` the answer has the jobs' ids in order, with the prompt check its
    findings by line.
    """
    query = asked.request.query_params
    check_known(query, ("handles",))
    mode = mode_of(asked)
    tally = Tally(handles=[] if query.get("handles") == "1" else None, findings=None if mode == "off" else [])
    try:
        await _queue_all(asked, tally, mode)
    except (JobRefused, IdempotencyConflict, Problem) as error:
        raise _stopped(error, tally) from error
    return JSONResponse(tally.with_handles(), 202)


async def _queue_all(asked: Asked, tally: Tally, mode: str) -> None:
    queueing = Queueing(asked, tally)
    chunk: list[Entry] = []
    try:
        async for line in _lines(asked):
            tally.lines += 1
            if line.strip():
                entry = await _entry(asked, line, tally.lines)
                if mode != "off":
                    _check_prompt(entry, tally, mode)
                chunk.append(entry)
            if len(chunk) >= CHUNK_JOBS:
                await queueing.begin(chunk)
                chunk = []
            if tally.lines % LINES_AT_A_STRETCH == 0:
                await asyncio.sleep(0)
        await queueing.finish(chunk)
    finally:
        await queueing.settle()  # also when a later line is wrong: the report counts it, or its own error comes first


class Queueing:
    """Queues one chunk while the next is read; one at a time, so that nothing behind a chunk that fails is queued."""

    def __init__(self, asked: Asked, tally: Tally) -> None:
        self._asked = asked
        self._tally = tally
        self._under_way: asyncio.Task[None] | None = None

    async def begin(self, chunk: Sequence[Entry]) -> None:
        """Start to queue the lines so far, once the chunk before is queued; raises that one's error."""
        await self.settle()
        self._under_way = asyncio.create_task(self._queue(chunk, self._tally.lines + 1))

    async def finish(self, chunk: Sequence[Entry]) -> None:
        """Queue what is left, in the request's own task, whose log line names a job that came alone."""
        await self.settle()
        await self._queue(chunk, self._tally.lines + 1)

    async def settle(self) -> None:
        """Return when nothing is on its way; raises the error of what was."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            await under_way

    async def _queue(self, chunk: Sequence[Entry], next_line: int) -> None:
        if chunk:
            await self._asked.door.rates.charge(self._asked.caller, len(chunk))
            self._tally.add(await submit(self._asked.door, self._asked.caller, chunk))
        self._tally.next_line = next_line


async def _lines(asked: Asked) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in counted(asked.request, BULK_BYTES_MAX):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > JOB_BYTES_MAX:
            break  # it is checked, and refused, as the line that it is
    if rest:
        yield rest


async def _entry(asked: Asked, line: bytes, number: int) -> Entry:
    if len(line) > JOB_BYTES_MAX:
        raise JobRefused(f"line {number}: job", f"at most {JOB_BYTES_MAX} bytes of JSON")
    try:
        value = await taken_in(asked.door, asked.caller, from_json(line, allow_inf_nan=False))
        return entry_of(asked.door, asked.caller, value)
    except JobRefused as error:
        raise JobRefused(f"line {number}: {error.field}", error.message) from error
    except ValueError as error:
        raise JobRefused(f"line {number}: job", f"valid JSON is needed: {error}") from error


def _check_prompt(entry: Entry, tally: Tally, mode: str) -> None:
    try:
        tally.note(as_json(findings_about(entry, mode)))
    except JobRefused as refused:
        raise JobRefused(f"line {tally.lines}: {refused.field}", refused.message) from refused


def _stopped(error: JobRefused | IdempotencyConflict | Problem, tally: Tally) -> Problem:
    """The same refusal, with what was queued before it."""
    queued = f"{tally.jobs} jobs of the lines before {tally.next_line} are queued, none from there on"
    if isinstance(error, Problem):
        return Problem(
            error.status,
            f"{error}; {queued}",
            code=error.code,
            kind=error.kind,
            param=error.param,
            headers=error.headers,
            more=tally.as_json(),
        )
    status, code = (409, "idempotency_conflict") if isinstance(error, IdempotencyConflict) else (400, "invalid_value")
    param = error.field if isinstance(error, JobRefused) else "idempotency_key"
    return Problem(status, f"{error}; {queued}", code=code, param=param, headers=NO_RETRY, more=tally.as_json())
