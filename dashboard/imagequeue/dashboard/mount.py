"""The composition root of the web page: its routes, for the HTTP door to mount (entry point `imagequeue.mounts`)."""

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imagequeue.config.clock import Clock, SystemClock
from imagequeue.dashboard import acting, handlers, retrying, switching
from imagequeue.dashboard.door import MountContext
from imagequeue.dashboard.guard import HEADERS
from imagequeue.dashboard.history import History
from imagequeue.dashboard.layout import ROOT
from imagequeue.dashboard.memory import Memory
from imagequeue.dashboard.sessions import Sessions
from imagequeue.dashboard.streaming import Streams
from imagequeue.dashboard.viewing import Dashboard, route

STATIC: Final = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}
STATIC_SECONDS: Final = 300
LIVE: Final = ("", "/", "/pools", "/ledger")
"""Pages that stay live, beside those of single jobs."""


def routes(context: MountContext, clock: Clock | None = None, history: History | None = None) -> list[Route]:
    """Return the routes under /dashboard. They ask the door's API in the application that they are mounted in.

    `history` is of readings before the first; none unless given.
    """
    board = Dashboard(
        context=context,
        clock=clock or SystemClock(),
        sessions=Sessions(),
        answers=Memory(),
        overviews=Memory(),
        history=history or History(),
    )
    pages = {
        "": handlers.show_overview,
        "/": handlers.show_overview,
        "/jobs": handlers.show_jobs,
        "/jobs/{id}": handlers.show_job,
        "/images": handlers.show_images,
        "/images/{sha256}": handlers.show_image,
        "/images/{sha256}/thumbnail": handlers.show_thumbnail,
        "/pools": handlers.show_pools,
        "/ledger": handlers.show_ledger,
        "/plan": handlers.show_plan,
        "/settings": handlers.show_settings,
    }
    live = {path: pages[path] for path in LIVE}
    streams = Streams(live, handlers.show_job)
    return [
        *(route(board, path, handler) for path, handler in pages.items()),
        route(board, "/jobs/act", acting.act, method="POST"),
        route(board, "/jobs/retry-failed", retrying.retry_failed, method="POST"),
        route(board, "/pools/act", switching.switch, method="POST"),
        route(board, "/live", streams.stream),
        route(board, "/login", handlers.show_login, to_all=True),
        route(board, "/login", handlers.log_in, method="POST", to_all=True),
        route(board, "/logout", handlers.log_out, method="POST", to_all=True),
        *(_file(name, media_type) for name, media_type in STATIC.items()),
    ]


def _file(name: str, media_type: str) -> Route:
    content = (files(__package__) / "static" / name).read_bytes()
    headers = {**HEADERS, "Cache-Control": f"public, max-age={STATIC_SECONDS}"}

    async def send(_request: Request) -> Response:
        return Response(content, headers=headers, media_type=media_type)

    return Route(f"{ROOT}/static/{name}", send, methods=["GET"], name=f"dashboard {name}")
