"""Wraps the whole application: every request gets an id, safe headers and one line in the log."""

import re
import secrets
import time
from collections.abc import Iterable
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagequeue.producer.door.problems import unexpected

REQUEST_ID: Final = b"x-request-id"
REQUEST_ID_PATTERN: Final = re.compile(rb"[A-Za-z0-9_.:-]{1,128}")
SAFE_HEADERS: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
"""What an answer says unless it says otherwise itself."""
PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/_.-]{1,160}")
TOKEN: Final = re.compile(r"iq_[0-9A-Za-z_]+")
QUIET_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.get_logger("imagequeue.door")


class Journal:
    """The outermost layer. The log line has neither the query nor a body nor a key: only what was asked of whom.

    It is the last boundary too: whatever breaks inside, a client hears of no more than that something did.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = log.bind()  # its chain is set up once, not for each line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)  # of this task alone, so it ends with the request
        started = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _marked(message.get("headers", ()), request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception as error:  # the boundary: nobody below foresaw it
            self._log.error("unexpected fault", exc_info=error)
            if status:
                raise  # the answer has begun: the server breaks the connection off, so that nobody takes it for whole
            await unexpected().response(request_id)(scope, receive, send_marked)
        finally:
            self._write_line(scope, status, time.perf_counter() - started)

    def _write_line(self, scope: Scope, status: int, seconds: float) -> None:
        write = self._log.debug if scope["path"] in QUIET_PATHS else self._log.info
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


def _marked(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    given = list(headers)
    names = {name for name, _ in given}
    return [*given, *(each for each in SAFE_HEADERS if each[0] not in names), (REQUEST_ID, request_id.encode())]


def _request_id(scope: Scope) -> str:
    """Return the client's own id for the request if it is a harmless one, else a new one."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID and REQUEST_ID_PATTERN.fullmatch(value):
            return str(value, "ascii")
    return f"req_{secrets.token_hex(12)}"


def shown_path(path: str) -> str:
    """Return a path as the log may have it: none that holds text or, by some mistake, a key."""
    return TOKEN.sub("iq_...", path) if PLAIN_PATH.fullmatch(path) else "(no path of ours)"
