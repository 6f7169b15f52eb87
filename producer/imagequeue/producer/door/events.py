"""A job's changes as they happen: server-sent events (WHATWG HTML, section 9.2), each the whole job view."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from imagequeue.config.errors import NotFound, Unavailable
from imagequeue.producer.door.jobs import own_view
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import Problem, too_many
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route
from imagequeue.producer.door.showing import view_json
from imagequeue.producer.door.waiting import wait_for_change
from imagequeue.queue.views import JobView

LOOK_SECONDS: Final = 2.0
BEAT_SECONDS: Final = 15.0
STREAM_SECONDS_MAX: Final = 3_600.0
STREAMS_MAX: Final = 500
RETRY_MS: Final = 2_000


def event_routes() -> list[Route]:
    """Return the route of a job's events."""
    return [route("/v1/jobs/{id}/events", "GET", Streams().job_events, scope="read")]


class Streams:
    """The open streams of this process, so many at most."""

    def __init__(self) -> None:
        self._open = 0

    async def job_events(self, asked: Asked) -> Response:
        """Stream a job's views, first as it is, then at each change, until it has ended."""
        check_known(asked.request.query_params, ())
        first = await own_view(asked)
        if self._open >= STREAMS_MAX:
            raise too_many(f"at most {STREAMS_MAX} event streams are open at once", BEAT_SECONDS)
        return StreamingResponse(self._counted(asked, first), media_type="text/event-stream")

    async def _counted(self, asked: Asked, first: JobView) -> AsyncIterator[str]:
        self._open += 1
        try:
            async for event in _events(asked, first):
                yield event
        finally:
            self._open -= 1


async def _events(asked: Asked, first: JobView) -> AsyncIterator[str]:
    deadline = time.monotonic() + STREAM_SECONDS_MAX
    view, sent_at = first, time.monotonic()
    yield f"retry: {RETRY_MS}\n\n{_event(asked, view)}"
    with asked.door.announcements.of(view.id) as changed:
        while not view.ended and time.monotonic() < deadline and not asked.door.announcements.closing:
            newer = await _next(asked, changed)
            if isinstance(newer, Problem):
                yield f"event: error\ndata: {newer}\n\n"
                return
            if newer.status != view.status or len(newer.attempts) != len(view.attempts):
                sent_at = time.monotonic()
                yield _event(asked, newer)
            elif time.monotonic() - sent_at > BEAT_SECONDS:
                sent_at = time.monotonic()
                yield ": still there\n\n"
            view = newer


async def _next(asked: Asked, changed: asyncio.Event) -> JobView | Problem:
    await wait_for_change(changed, LOOK_SECONDS)
    changed.clear()
    try:
        return await own_view(asked)
    except (NotFound, Unavailable, Problem):
        return Problem(503, "the job cannot be followed any further; connect again", code="unavailable")


def _event(asked: Asked, view: JobView) -> str:
    data = json.dumps(view_json(view, asked.base_url), separators=(",", ":"))
    return f"event: {view.status}\ndata: {data}\n\n"
