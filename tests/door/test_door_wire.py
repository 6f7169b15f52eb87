"""The wire under the door: slow, stalled and too many clients are ended, whatever they send."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import pytest
from door_server import talk_with
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from imagequeue.producer.door.wire import DoorProtocol

DEADLINE_SECONDS = 0.3
ENDED_SECONDS_MAX = 10.0


class HastyProtocol(DoorProtocol):
    """The door's protocol with deadlines that a test can wait for."""

    headers_seconds_max = DEADLINE_SECONDS
    body_seconds_max = DEADLINE_SECONDS
    bulk_body_seconds_max = 60.0
    stall_seconds_max = DEADLINE_SECONDS
    connections_max = 3
    lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the test."""
        self.lost.set()
        super().connection_lost(exc)


class PatientProtocol(HastyProtocol):
    """With time for headers, so that it is not their deadline that ends a connection."""

    headers_seconds_max = 60.0


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the length of the body, or with very much."""
    request = Request(scope, receive)
    try:
        body = b"" if request.url.path == "/early" else await request.body()
    except ClientDisconnect:
        return
    much = request.url.path == "/much"
    response: Response = PlainTextResponse("x" * 50_000_000 if much else str(len(body)))
    await response(scope, receive, send)


def served(talk: Callable[[int], Awaitable[None]], protocol: type[DoorProtocol] = HastyProtocol) -> None:
    """Run `talk` against a server on a free port."""
    talk_with(echo, talk, protocol=protocol, seconds=ENDED_SECONDS_MAX)


class Dripping(asyncio.Protocol):
    """A client that keeps what it was told, also when the server then resets what it goes on sending to."""

    def __init__(self) -> None:
        self.answer = b""
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Keep it."""
        self.answer += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed or reset: the server has ended it."""
        self.closed.set()


async def drip(port: int, start: bytes, piece: bytes) -> tuple[bytes, float]:
    """Send `start`, then `piece` again and again; return the answer and the seconds until the server closed."""
    transport, client = await asyncio.get_running_loop().create_connection(Dripping, "127.0.0.1", port)
    began = time.monotonic()
    transport.write(start)
    closed = asyncio.create_task(client.closed.wait())
    while not closed.done():
        transport.write(piece)
        await asyncio.wait({closed}, timeout=0.02)
    return client.answer, time.monotonic() - began


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-A: b\r\n"),
        (b"G", b""),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n", b"X-A: b\r\n"),
    ],
    ids=["silent", "headers", "one byte", "body", "chunks", "second request"],
)
def test_a_request_that_never_ends_is_ended(start: bytes, piece: bytes) -> None:
    async def talk(port: int) -> None:
        answer, seconds = await drip(port, start, piece)
        assert seconds > DEADLINE_SECONDS * 0.9  # served() has the upper bound
        assert answer.endswith(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    served(talk)


@pytest.mark.parametrize(
    "broken",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk at all\r\n",
        b"POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk at all\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\0\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\n\0\0\r\n\r\n",
        b"\0\r\n\r\n",
    ],
    ids=["body", "body of one answered early", "tunnel", "second request", "first request"],
)
def test_a_request_that_breaks_off_in_nonsense_is_refused_once_and_no_fault_of_the_doors(
    broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head, middle, rest = broken.partition(b"\r\n\r\n")
        writer.write(head + middle)
        await asyncio.sleep(0)
        writer.write(rest)
        answer = await reader.read()
        assert answer.count(b"HTTP/1.1 ") in (1, 2)
        assert b"HTTP/1.1 5" not in answer
        writer.close()

    served(talk)
    assert [each for each in caplog.records if each.levelno > logging.WARNING] == []


def test_nonsense_after_the_answer_ends_the_connection_without_a_second_one(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n0")
        writer.write(b"no chunk at all\r\n")
        assert await reader.read() == b""
        writer.close()

    served(talk)
    assert [each for each in caplog.records if each.levelno > logging.WARNING] == []


def test_a_body_with_two_lengths_is_refused_and_what_follows_is_no_request() -> None:
    """A proxy may see the end of such a request elsewhere (RFC 9112, 6.1): its rest must not be served as another."""

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        both = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        writer.write(both + b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await reader.read()  # to the end of the connection
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        writer.close()

    served(talk)


def test_a_bulk_body_has_time() -> None:
    async def talk(port: int) -> None:
        start = b"POST /v1/jobs/bulk HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 40\r\n\r\n"
        answer, seconds = await drip(port, start, b"x")
        assert seconds > DEADLINE_SECONDS
        assert b"200 OK" in answer

    served(talk)


def test_a_client_that_does_not_read_is_ended() -> None:
    async def talk(port: int) -> None:
        HastyProtocol.lost = asyncio.Event()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await reader.readexactly(1000)
        await HastyProtocol.lost.wait()  # served() has the deadline
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(50_000_000)
        writer.close()

    served(talk)


def test_connections_beyond_the_ceiling_are_told_to_come_back() -> None:
    async def talk(port: int) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After" in answer
        for _, each in [*held, (reader, writer)]:
            each.close()

    served(talk)


def test_at_the_ceiling_those_without_a_request_make_room_and_a_request_that_is_served_does_not() -> None:
    async def talk(port: int) -> None:
        busy_reader, busy = await asyncio.open_connection("127.0.0.1", port)
        busy.write(b"POST /v1/jobs/bulk HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        PatientProtocol.idle_seconds_min = 0.0
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n0")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await idle[0][0].readexactly(1)
        busy.write(b"b")
        await busy_reader.readuntil(b"\r\n\r\n2")
        for _, each in [(busy_reader, busy), *idle, (reader, writer)]:
            each.close()

    served(talk, PatientProtocol)


def test_one_connection_serves_many_requests_at_any_pace() -> None:
    """Pauses between requests are the keep-alive's business, and pipelined requests are served in order."""

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        one = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
        writer.write(one)
        await reader.readuntil(b"\r\n\r\n2")
        await asyncio.wait({asyncio.create_task(reader.read(1))}, timeout=DEADLINE_SECONDS * 1.5)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(one * 20)
        for _ in range(20):
            await reader.readuntil(b"\r\n\r\n2")
        writer.close()

    served(talk)
