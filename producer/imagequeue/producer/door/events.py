"""Changes of one or more jobs as they happen: server-sent events (WHATWG HTML, 9.2), each a whole job view."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from imagequeue.config.errors import JobRefused, Unavailable
from imagequeue.producer.door.jobs import own_view, own_views
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
JOBS_PER_STREAM_MAX: Final = 100
GATHER_SECONDS: Final = 0.1

Views = Mapping[str, JobView]


def event_routes() -> list[Route]:
    """Return the routes of jobs' events."""
    streams = Streams()
    return [
        route("/v1/jobs/events", "GET", streams.events_of_jobs, scope="read"),
        route("/v1/jobs/{id}/events", "GET", streams.job_events, scope="read"),
    ]


class Streams:
    """The open streams of this process, so many at most."""

    def __init__(self) -> None:
        self._open = 0

    async def job_events(self, asked: Asked) -> Response:
        """Stream a job's views, first as it is, then at each change, until it has ended."""
        check_known(asked.request.query_params, ())
        return self._streamed(asked, {(first := await own_view(asked)).id: first})

    async def events_of_jobs(self, asked: Asked) -> Response:
        """Stream the views of the jobs that the query names, first as they are, until all have ended."""
        check_known(asked.request.query_params, ("id",))
        ids = list(dict.fromkeys(asked.request.query_params.getlist("id")))
        if not 1 <= len(ids) <= JOBS_PER_STREAM_MAX:
            raise JobRefused("id", f"1 to {JOBS_PER_STREAM_MAX} ids of jobs are accepted, each as a parameter id")
        return self._streamed(asked, await own_views(asked, ids))

    def _streamed(self, asked: Asked, first: Views) -> Response:
        if self._open >= STREAMS_MAX:
            raise too_many(f"at most {STREAMS_MAX} event streams are open at once", BEAT_SECONDS)
        return StreamingResponse(self._counted(asked, first), media_type="text/event-stream")

    async def _counted(self, asked: Asked, first: Views) -> AsyncIterator[str]:
        self._open += 1
        try:
            async for event in _events(asked, first):
                yield event
        finally:
            self._open -= 1


async def _events(asked: Asked, first: Views) -> AsyncIterator[str]:
    started = sent_at = time.monotonic()
    yield f"retry: {RETRY_MS}\n\n" + "".join(_event(asked, view) for view in first.values())
    views = _not_ended(first)
    with asked.door.announcements.of(*views) as changed:
        while views and time.monotonic() < started + STREAM_SECONDS_MAX and not asked.door.announcements.closing:
            newer = await _next(asked, views, changed)
            if isinstance(newer, Problem):
                yield f"event: error\ndata: {newer}\n\n"
                return
            told = [view for view in newer.values() if _has_changed(views[view.id], view)]
            if told or time.monotonic() - sent_at > BEAT_SECONDS:
                sent_at = time.monotonic()
                yield "".join(_event(asked, view) for view in told) or ": still there\n\n"
            views = _not_ended(newer)


async def _next(asked: Asked, views: Views, changed: asyncio.Event) -> Views | Problem:
    await wait_for_change(changed, LOOK_SECONDS)
    if len(views) > 1:
        await asyncio.sleep(GATHER_SECONDS)  # of many jobs that change together each would have all read again
    changed.clear()
    try:
        newer = await asked.door.reader.views(list(views))
    except Unavailable:
        newer = {}
    if len(newer) < len(views):
        return Problem(503, "the job cannot be followed any further; connect again", code="unavailable")
    return newer


def _not_ended(views: Views) -> dict[str, JobView]:
    return {view.id: view for view in views.values() if not view.ended}


def _has_changed(before: JobView, now: JobView) -> bool:
    return now.status != before.status or len(now.attempts) != len(before.attempts)


def _event(asked: Asked, view: JobView) -> str:
    data = json.dumps(view_json(view, asked.base_url, to_tenant=asked.caller.is_bound), separators=(",", ":"))
    return f"event: {view.status}\ndata: {data}\n\n"
