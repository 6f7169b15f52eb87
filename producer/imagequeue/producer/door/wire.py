"""The wire protocol under the door: uvicorn's own, with the deadlines and the ceiling on connections that it lacks.

uvicorn reads for as long as a client cares to send: one header line every two seconds keeps a connection for ever.
Here headers, bodies and stalled readers each have a deadline. At the ceiling on connections those that have waited
longest for a request make room; when there are none, new ones are told to come back.

A request that comes whole (`asking`) and has its answer written whole (`answering`) is never told to h11. As soon as
there is more to it, a second request behind it or an answer in pieces, h11 hears of it and decides as ever.

Requests that are sent before the answer to the one before ("pipelined") are served one after the other, and no more is
read of them than fits uvicorn's buffer.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from imagequeue.producer.door.answering import Answer
from imagequeue.producer.door.asking import Whole, whole_request
from imagequeue.producer.door.problems import Problem

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

CONNECTIONS_MAX: Final = 4_000
IDLE_SECONDS_MIN: Final = 1.0
"""So long a connection may be without a request before it makes room for another, when there are too many."""
HEADER_BYTES_MAX: Final = 32_768
HEADERS_SECONDS_MAX: Final = 10.0
BODY_SECONDS_MAX: Final = 30.0
BULK_BODY_SECONDS_MAX: Final = 900.0
UPLOAD_BODY_SECONDS_MAX: Final = 300.0
STALL_SECONDS_MAX: Final = 60.0
ROOM_SHARE: Final = 20
"""One in so many connections makes room at once, so that not every new one has to look for it."""
BULK_PATH: Final = "/v1/jobs/bulk"
UPLOAD_PATHS: Final = ("/v1/images", "/v1/images/edits", "/v1/images/variations")
BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
FRAMED_TWICE: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Where such a request ends is another thing to every reader: what follows it is not read (RFC 9112, 6.1)."""
TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class DoorProtocol(H11Protocol):
    """One connection. Its timer runs while bytes of a request are due, and ends the connection when it fires."""

    connections_max = CONNECTIONS_MAX
    idle_seconds_min = IDLE_SECONDS_MIN
    headers_seconds_max = HEADERS_SECONDS_MAX
    body_seconds_max = BODY_SECONDS_MAX
    bulk_body_seconds_max = BULK_BODY_SECONDS_MAX
    upload_body_seconds_max = UPLOAD_BODY_SECONDS_MAX
    stall_seconds_max = STALL_SECONDS_MAX

    def __init__(
        self,
        config: "Config",
        server_state: "ServerState",
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._served = self.app
        self.app = self._serve
        self._reading: asyncio.TimerHandle | None = None
        self._reads_body = False
        self._stalled: asyncio.TimerHandle | None = None
        self._untold: bytes | None = None
        self.idle_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take the connection, or turn it away when there are too many."""
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        if len(self.connections) > self.connections_max and not self._make_room():
            transport.write(BUSY)
            transport.close()
            return
        self._arm(self.headers_seconds_max)

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first ones of a request start its clock, the last ones stop it."""
        if self.transport.is_closing():
            return
        if self._is_between_requests() and (whole := whole_request(data, HEADER_BYTES_MAX)) is not None:
            self._untold = data
            self._take(whole)
            return
        self.tell_h11()
        if self._reading is None:
            self._reads_body = False
            self._arm(self.headers_seconds_max)
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self.idle_since = None
        self._note_progress()

    def on_response_complete(self) -> None:
        """Go on with what a client sent while the answer before was made."""
        super().on_response_complete()
        self.idle_since = self.loop.time() if self.cycle is None or self.cycle.response_complete else None
        self._note_progress()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read. What serves its first part hears that the client is gone."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()  # an answer has begun, or has been given: nothing may follow it

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if FRAMED_TWICE.issubset(name for name, _ in scope["headers"]):
            await _two_lengths().response()(scope, receive, send)
        else:
            await self._served(scope, receive, Answer(self, send))

    def _is_between_requests(self) -> bool:
        """Whether nothing of a request has come to which there is no answer yet."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]

    def _take(self, whole: Whole) -> None:
        """Serve a request as uvicorn does, but at once with all of its body."""
        self._unset_keepalive_if_required()
        self._disarm()
        self.idle_since = None
        self.headers = whole.headers
        raw_path, _, query = whole.target.partition(b"?")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": whole.method,
            "root_path": self.root_path,
            "path": self.root_path + unquote(raw_path.decode("ascii")),
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query,
            "headers": whole.headers,
            "state": self.app_state.copy(),
        }
        self.cycle = RequestResponseCycle(
            scope=self.scope,
            conn=self.conn,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
        )
        self.cycle.body += whole.body
        self.cycle.more_body = False
        self.cycle.message_event.set()
        task = self.loop.create_task(self.cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def tell_h11(self) -> None:
        """Let h11 hear of the request that is being answered, if it was taken without it."""
        if self._untold is None:
            return
        self.conn.receive_data(self._untold)
        self._untold = None
        event = self.conn.next_event()
        while isinstance(event, h11.Request | h11.Data):  # both are served already
            event = self.conn.next_event()

    @property
    def may_answer_whole(self) -> bool:
        """Whether a request is whole and unanswered, and h11 has nothing to decide about its answer."""
        if self._untold is not None:
            return True
        return self.conn.their_state is h11.DONE and self.conn.our_state is h11.SEND_RESPONSE

    def next_request(self) -> None:
        """Go on after an answer of which h11 was told nothing, as if the connection had just been opened."""
        sent_already = b""
        if self._untold is None:
            sent_already, _ = self.conn.trailing_data
            self.conn = h11.Connection(h11.SERVER, HEADER_BYTES_MAX)
        self._untold = None
        self.cycle.on_response()
        if sent_already:
            self.data_received(sent_already)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks; what is answered from here on is answered to nobody."""
        self._disarm()
        self._untold = None
        self.resume_writing()
        super().connection_lost(exc)

    def _make_room(self) -> bool:
        """End a share of the connections, those longest without a request; return whether there were any."""
        latest = self.loop.time() - self.idle_seconds_min
        waiting = [each for each in self.connections if isinstance(each, DoorProtocol) and each.waits_since(latest)]
        waiting.sort(key=lambda each: each.idle_since or 0.0)
        for each in waiting[: self.connections_max // ROOM_SHARE + 1]:
            each.transport.abort()
        return bool(waiting)

    def waits_since(self, latest: float) -> bool:
        """Return whether it has been without a whole request since `latest` or longer, on the event loop's clock."""
        return self.idle_since is not None and self.idle_since <= latest and not self.transport.is_closing()

    def pause_writing(self) -> None:
        """A client that does not read its answer has so long to begin again."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stall_seconds_max, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def _note_progress(self) -> None:
        state = self.conn.their_state
        if state is h11.SEND_BODY and not self._reads_body:
            self._reads_body = True
            self._arm(self._body_seconds())
        elif state is not h11.SEND_BODY and not (state is h11.IDLE and self.conn.trailing_data[0]):
            self._disarm()  # the request is whole, or none has begun

    def _body_seconds(self) -> float:
        path = None if self.scope is None else self.scope["path"]
        if path == BULK_PATH:
            return self.bulk_body_seconds_max
        return self.upload_body_seconds_max if path in UPLOAD_PATHS else self.body_seconds_max

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._reading = self.loop.call_later(seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _too_slow(self) -> None:
        self._reading = None
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(TOO_SLOW)
        self.transport.close()


def _two_lengths() -> Problem:
    message = "Content-Length: accepted without Transfer-Encoding only"
    return Problem(400, message, code="invalid_value", param="Content-Length", headers={"Connection": "close"})
