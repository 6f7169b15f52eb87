"""Answers that are there as a whole are written in one piece; what is streamed goes by h11, piece by piece, as ever.

h11 checks and formats an answer as three events, which costs a sixth of all that a small request costs. For an answer
of known length on a connection that stays open it has nothing to decide: such a one is written here, and the
connection goes on with a fresh h11, as if it had just been opened.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from starlette.types import Message, Send
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import HTTPScope
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle
    from uvicorn.server import ServerState

LENGTH: Final = b"content-length"
DECIDES_ON_THE_CONNECTION: Final = (b"connection", b"transfer-encoding")

Header = tuple[bytes, bytes]


class Connection(Protocol):
    """What an answer needs of the connection it goes to."""

    cycle: "RequestResponseCycle"
    flow: "FlowControl"
    scope: "HTTPScope"
    server_state: "ServerState"
    transport: "asyncio.Transport"

    @property
    def may_answer_whole(self) -> bool:
        """Whether the request is whole, not the connection's last, and not answered by h11 in part."""

    def tell_h11(self) -> None:
        """Let h11 hear of the request, so that it can see to the answer."""

    def next_request(self) -> None:
        """Go on after an answer of which h11 was told nothing."""


class Answer:
    """Takes an answer's messages in place of uvicorn's `send`, and gives on to that what it does not write itself."""

    def __init__(self, connection: Connection, send: Send) -> None:
        self._connection = connection
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        """Send one message; the first one waits for the body that it announces the length of."""
        start, self._start = self._start, None
        if start is None and message["type"] == "http.response.start" and _length(message["headers"]) is not None:
            self._start = message
            return
        if start is not None:
            head = self._head(start, message)
            if head is not None:
                self._write(head, message["body"])
                return
            self._connection.tell_h11()
            await self._send(start)
        self._connection.tell_h11()
        await self._send(message)

    def _head(self, start: Message, body: Message) -> bytes | None:
        """The head of an answer that can be written whole; None when h11 has to see to it."""
        to = self._connection
        if body.get("more_body") or _length(start["headers"]) != len(body.get("body", b"")):
            return None
        if not to.may_answer_whole:
            return None
        if to.scope["method"] == "HEAD" or not to.cycle.keep_alive or to.cycle.disconnected or to.flow.write_paused:
            return None
        return head_of(start["status"], [*to.server_state.default_headers, *start["headers"]])

    def _write(self, head: bytes, body: bytes) -> None:
        to = self._connection
        to.transport.writelines((head, body))
        to.cycle.response_started = to.cycle.response_complete = True
        to.cycle.message_event.set()
        to.next_request()


def head_of(status: int, headers: Sequence[Header]) -> bytes | None:
    """Return status line and headers with the empty line; None when h11 would refuse them or change the connection."""
    lines = [b"HTTP/1.1 %d %b" % (status, STATUS_PHRASES[status])]
    for name, value in headers:
        if name in DECIDES_ON_THE_CONNECTION:
            return None
        lines.append(b"%b: %b" % (name, value))
    head = b"\r\n".join(lines)
    if head.count(b"\r") != len(headers) or head.count(b"\n") != len(headers) or b"\0" in head:
        return None
    return head + b"\r\n\r\n"


def _length(headers: Sequence[Header]) -> int | None:
    for name, value in headers:
        if name == LENGTH:
            return int(value)
    return None
