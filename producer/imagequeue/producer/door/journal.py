"""Wraps the whole application: every request gets an id, safe headers and one line in the log."""

import re
import secrets
import time
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID: Final = "x-request-id"
REQUEST_ID_PATTERN: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/_.-]{1,160}")
TOKEN: Final = re.compile(r"iq_[0-9A-Za-z_]+")
QUIET_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.get_logger("imagequeue.door")


class Journal:
    """The outermost layer. The log line has neither the query nor a body nor a key: only what was asked of whom."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers.setdefault("x-content-type-options", "nosniff")
                headers.setdefault("cache-control", "no-store")
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_marked)
            finally:
                _write_line(scope, status, time.perf_counter() - started)


def _request_id(scope: Scope) -> str:
    """Return the client's own id for the request if it is a harmless one, else a new one."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if REQUEST_ID_PATTERN.fullmatch(given) else f"req_{secrets.token_hex(12)}"


def shown_path(path: str) -> str:
    """Return a path as the log may have it: none that holds text or, by some mistake, a key."""
    return TOKEN.sub("iq_...", path) if PLAIN_PATH.fullmatch(path) else "(no path of ours)"


def _write_line(scope: Scope, status: int, seconds: float) -> None:
    write = log.debug if scope["path"] in QUIET_PATHS else log.info
    client = scope.get("client")
    write(
        "request",
        method=scope["method"],
        path=shown_path(scope["path"]),
        status=status,
        ms=round(seconds * 1000, 2),
        client=client[0] if client else None,
        key=scope["state"].get("key_id"),
    )
