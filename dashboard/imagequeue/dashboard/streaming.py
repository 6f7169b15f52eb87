"""Keeps pages live by server-sent events: a page is made anew every three seconds and sent when it changed.

Viewers share what the door answers and what was made of it, so a stream costs little more than comparing. It ends after
a minute, when the key opens nothing any more, and when the door closes; the browser comes back by itself.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from imagequeue.dashboard.layout import ROOT
from imagequeue.dashboard.viewing import Handler, Viewer

LIVE_SECONDS: Final = 3.0
CLOSING_SECONDS: Final = 0.5
"""How soon a stream notices that the door closes."""
STREAM_SECONDS_MAX: Final = 60.0
STREAMS_MAX: Final = 200
PAGE_CHARACTERS_MAX: Final = 2_000
JOB: Final = "/jobs/"
SAME: Final = b"event: same\ndata: \n\n"
MISSING: Final = 404
TOO_MANY: Final = 503
ERRORS_FROM: Final = 400

log = structlog.get_logger("imagequeue.dashboard")


class Streams:
    """The live pages, by path under the root; those of single jobs by `job`."""

    def __init__(self, pages: Mapping[str, Handler], job: Handler) -> None:
        self._pages = pages
        self._job = job
        self._open = 0

    async def stream(self, viewer: Viewer) -> Response:
        """Send the page of the query's `page` whenever it changes."""
        path, _, query = viewer.query.get("page", "")[:PAGE_CHARACTERS_MAX].partition("?")
        found = self._handler(path)
        if found is None:
            return Response("no live page", MISSING, media_type="text/plain")
        if self._open >= STREAMS_MAX:
            return Response("too many live pages", TOO_MANY, media_type="text/plain")
        handler, parameters = found
        scope = {**viewer.request.scope, "path": path, "query_string": query.encode(), "path_params": parameters}
        looking = replace(viewer, request=Request(scope))
        return StreamingResponse(self._events(looking, handler), media_type="text/event-stream")

    def _handler(self, path: str) -> tuple[Handler, dict[str, str]] | None:
        under = path.removeprefix(ROOT)
        if under == path:
            return None
        if under in self._pages:
            return self._pages[under], {}
        job_id = under.removeprefix(JOB)
        return (self._job, {"id": job_id}) if under != job_id and job_id and "/" not in job_id else None

    async def _events(self, viewer: Viewer, handler: Handler) -> AsyncIterator[bytes]:
        self._open += 1
        sent = b""
        ends = time.monotonic() + STREAM_SECONDS_MAX
        try:
            while not viewer.board.context.is_closing() and time.monotonic() < ends:
                response = await handler(viewer)
                if isinstance(response, RedirectResponse):
                    return
                body = bytes(response.body)
                yield SAME if body == sent else _event(response.status_code, body)
                sent = body
                await _pause(viewer)
        except Exception:  # the boundary of a stream: logged; the browser asks again
            log.exception("unexpected fault")
        finally:
            self._open -= 1


def _event(status: int, body: bytes) -> bytes:
    told = json.dumps({"ok": status < ERRORS_FROM, "page": body.decode()}, ensure_ascii=True)
    return f"data: {told}\n\n".encode()


async def _pause(viewer: Viewer) -> None:
    until = time.monotonic() + LIVE_SECONDS
    while time.monotonic() < until and not viewer.board.context.is_closing():  # noqa: ASYNC110 - whoever closes sets no event
        await asyncio.sleep(CLOSING_SECONDS)
