"""One span for each request, which goes on with the caller's trace. Only there when the door is traced."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagequeue.config.tracing import CARRIED, CARRIED_CHARACTERS_MAX, Spans
from imagequeue.producer.door.journal import QUIET_PATHS, shown_path

HEADER: Final = CARRIED.encode()
SERVER_FAULT: Final = 500


def traced(app: ASGIApp, spans: Spans) -> ASGIApp:
    """Return the application with spans; itself where nothing is traced."""
    return Traced(app, spans) if spans.on else app


class Traced:
    """The layer around the application."""

    def __init__(self, app: ASGIApp, spans: Spans) -> None:
        self._app = app
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in QUIET_PATHS:
            await self._app(scope, receive, send)
            return
        with self._spans.span(scope["method"], kind="server", parent=_parent(scope)) as span:
            span.note("url.path", shown_path(scope["path"]))

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.note("http.response.status_code", message["status"])
                    if message["status"] >= SERVER_FAULT:
                        span.failed(str(message["status"]))
                await send(message)

            await self._app(scope, receive, send_noted)
            span.note("request_id", scope.get("state", {}).get("request_id"))


def _parent(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == HEADER and len(value) <= CARRIED_CHARACTERS_MAX:
            return str(value, "latin-1")
    return None
