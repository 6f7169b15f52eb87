"""How whole answers are written: each in one piece, in order, and nothing that could pass for another answer."""

import asyncio
from contextlib import suppress

import pytest
from door_server import talk_with
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from imagequeue.producer.door.answering import head_of

TALK_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 65_536


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path: whole, in pieces, or with a header that no answer may have."""
    path = Request(scope).url.path
    response: Response = PlainTextResponse(path)
    if path == "/pieces":
        response = StreamingResponse(iter([b"one", b"two"]))
    if path == "/split":
        response.raw_headers.append((b"x-name", b"a\r\nx-other: b"))
    await response(scope, receive, send)


def said(sent: bytes) -> bytes:
    """Return all that the server says to what is sent at once, until it closes the connection."""

    async def talk(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answer = b""
        with suppress(ConnectionResetError):  # the server may close on what it has not read
            while part := await reader.read(ANSWER_BYTES_MAX):
                answer += part
        writer.close()
        return answer

    return talk_with(app, talk, seconds=TALK_SECONDS_MAX)


def asking(path: str, *, method: str = "GET", last: bool = False) -> bytes:
    """Return a request as it is sent; after the `last` one the server closes."""
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{'Connection: close' if last else 'X-A: b'}\r\n\r\n".encode()


def test_requests_sent_at_once_are_answered_in_order_and_in_every_manner() -> None:
    """Whole, in pieces, whole again, and the last one, after which the connection ends."""
    answer = said(asking("/first") + asking("/pieces") + asking("/third") + asking("/last", last=True))
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == answer.count(b"\r\ndate: ") == 4
    places = [answer.index(text) for text in (b"\r\n\r\n/first", b"3\r\none\r\n", b"3\r\ntwo\r\n", b"/third", b"/last")]
    assert places == sorted(places)


def test_an_answer_to_head_has_the_length_and_no_body() -> None:
    answer = said(asking("/whole", method="HEAD") + asking("/last", last=True))
    assert b"content-length: 6" in answer
    assert b"/whole" not in answer


def test_a_client_of_http_1_0_is_answered_and_closed() -> None:
    assert said(b"GET /old HTTP/1.0\r\n\r\n").endswith(b"/old")


def test_a_header_with_a_line_break_never_reaches_a_client() -> None:
    assert b"x-other" not in said(asking("/split", last=False))


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b"])
def test_a_header_that_is_none_gets_no_head(value: bytes) -> None:
    assert head_of(200, [(b"x-a", value)]) is None
    assert head_of(200, [(b"x-a\r\n", b"b")]) is None


def test_a_head_is_the_status_and_the_headers() -> None:
    head = head_of(202, [(b"content-length", b"2"), (b"x-a", b"b")])
    assert head == b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\nx-a: b\r\n\r\n"
    assert head_of(200, [(b"connection", b"close")]) is None
