"""What is taken as one whole request is what h11 reads in the same bytes; everything else is left to h11."""

import asyncio
from collections.abc import Sequence

import h11
import pytest
from door_server import talk_with
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from imagequeue.producer.door.asking import WHOLE_BYTES_MAX, Whole, whole_request
from imagequeue.producer.door.wire import HEADER_BYTES_MAX

TALK_SECONDS_MAX = 10.0
PLAIN = b"POST /v1/jobs?a=b HTTP/1.1\r\nHost: a\r\nX-A: b c \r\nContent-Length: 3\r\n\r\nabc"
LINES = (
    b"Host: a", b"Host: b", b"X-A:", b"X-A: \t b\t", b"X-A : b", b"X A: b", b" folded", b"\tfolded", b"X-\xe4: b",
    b"X-A: \xe4", b"X-A: \x00", b"X-A: a\rb", b"X-A: a\x0bb", b"Content-Length: 3", b"Content-Length: 03",
    b"Content-Length: +3", b"Content-Length: 3, 3", b"Content-Length: 3 ", b"Content-Length: 4",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity", b"Connection: keep-alive", b"Connection: close", b"Connection: upgrade",
    b"Upgrade: h2c", b"Expect: 100-continue", b"Cookie: a=b; c=d", b"nothing", b":", b"",
)  # fmt: skip
STARTS = (
    b"POST /v1/jobs HTTP/1.1", b"GET / HTTP/1.1", b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b"GET / HTTP/1.1 ",
    b"GET / HTTP/1.0", b"GET / HTTP/2.0", b"GET / HTTP/1.2", b"get / HTTP/1.1", b"GET / http/1.1", b"GET /",
    b"QUERY /a HTTP/1.1", b"GET /\xe4 HTTP/1.1", b"GET /a b HTTP/1.1", b"GET * HTTP/1.1", b"GET http://a/b HTTP/1.1",
    b"CONNECT a:80 HTTP/1.1", b"GET /a#b HTTP/1.1", b"GET /%00\"<> HTTP/1.1", b"\r\nGET / HTTP/1.1",
    b"PRI * HTTP/2.0", b"SOURCE / ICE/1.0",
)  # fmt: skip


def read_by_h11(data: bytes) -> Whole | None:
    """Return the one request that h11 reads in the bytes, None when it refuses them or there is more or less to it."""
    connection = h11.Connection(h11.SERVER, HEADER_BYTES_MAX)
    connection.receive_data(data)
    events = []
    try:
        while not events or not isinstance(events[-1], h11.EndOfMessage):
            events.append(connection.next_event())
            if events[-1] is h11.NEED_DATA:
                return None
    except h11.RemoteProtocolError:
        return None
    asked = events[0]
    if not isinstance(asked, h11.Request) or asked.http_version != b"1.1" or connection.trailing_data[0]:
        return None
    body = b"".join(bytes(event.data) for event in events if isinstance(event, h11.Data))
    return Whole(asked.method.decode(), asked.target, [(name, value) for name, value in asked.headers], body)


@given(
    st.sampled_from((*STARTS[:2] * 8, *STARTS)),
    st.lists(st.sampled_from(LINES), max_size=4).map(lambda lines: [b"Host: a", *lines]) | st.permutations(LINES[:2]),
    st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r")),
    st.sampled_from((b"", b"abc", b"abcd", b"abc\r\n", PLAIN)),
    st.integers(0, 80),
    st.none() | st.sampled_from((b"\r", b"\n", b" ", b":", b"\0", b"\x7f", b"\x80", b"A", b"0")),
)
@example(b"POST /v1/jobs HTTP/1.1", [b"Host: a", b"Content-Length: 3"], b"\r\n", b"abc", 0, None)
def test_only_what_h11_reads_alike_is_taken(
    start: bytes, lines: Sequence[bytes], end: bytes, body: bytes, place: int, odd: bytes | None
) -> None:
    data = end.join([start, *lines]) + end * 2 + body
    if odd is not None:
        data = data[:place] + odd + data[place + 1 :]
    whole = whole_request(data, HEADER_BYTES_MAX)
    assert whole is None or whole == read_by_h11(data)


def test_a_plain_request_is_taken() -> None:
    headers = [(b"host", b"a"), (b"x-a", b"b c"), (b"content-length", b"3")]
    assert whole_request(PLAIN, HEADER_BYTES_MAX) == Whole("POST", b"/v1/jobs?a=b", headers, b"abc")
    kept = PLAIN.replace(b"X-A: b c ", b"Connection: Keep-Alive")
    assert whole_request(kept, HEADER_BYTES_MAX) is not None


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace(b"X-A: b c ", b"Transfer-Encoding: chunked"),
        PLAIN.replace(b"X-A: b c ", b"Content-Length: 3"),
        PLAIN.replace(b"Content-Length: 3\r\n", b"Content-Length: 2\r\nContent-Length: 3\r\n"),
        PLAIN.replace(b"X-A: b c ", b"Connection: close"),
        PLAIN.replace(b"X-A: b c ", b"Connection: keep-alive, upgrade\r\nUpgrade: h2c"),
        PLAIN.replace(b"X-A: b c ", b"Expect: 100-continue"),
        PLAIN.replace(b"X-A: b c ", b"X-A: b\r\n c"),
        PLAIN.replace(b"X-A: b c \r\n", b"X-A: b c\n"),
        PLAIN.replace(b"Host: a\r\n", b""),
        PLAIN.replace(b"Host: a", b"Host: a\r\nHost: a"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"b c ", b"b" * HEADER_BYTES_MAX),
        PLAIN.replace(b": 3\r\n\r\nabc", b": %d\r\n\r\n" % WHOLE_BYTES_MAX + b"a" * WHOLE_BYTES_MAX),
        PLAIN + b"\r\n",
        PLAIN + PLAIN,
        PLAIN[:-1],
        PLAIN[:40],
        b"",
    ],
)
def test_what_is_in_any_way_unusual_is_left_to_h11(data: bytes) -> None:
    assert data != PLAIN
    assert whole_request(data, HEADER_BYTES_MAX) is None


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body: whole, in pieces, or not at all."""
    asked = Request(scope, receive)
    body, path = await asked.body(), asked.url.path
    if path == "/breaks":
        raise RuntimeError("inside")
    response: Response = PlainTextResponse(body)
    if path == "/pieces":
        response = StreamingResponse(iter([b"<", body, b">"]))
    if path == "/slow":
        while (await receive())["type"] != "http.disconnect":
            pass
    await response(scope, receive, send)


def asking(path: bytes, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


def test_requests_one_by_one_are_answered_whole_and_in_pieces_on_one_connection() -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path, end in ((b"/", b"\r\n\r\none"), (b"/pieces", b"0\r\n\r\n"), (b"/", b"\r\n\r\none")) * 2:
            writer.write(asking(path, b"one"))
            answer = await reader.readuntil(end)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"one" in answer
        writer.close()

    talk_with(app, talk, seconds=TALK_SECONDS_MAX)


def test_a_request_that_comes_before_the_answer_to_a_whole_one_waits_its_turn() -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking(b"/pieces", b"first"))
        await asyncio.sleep(0)
        for piece in (asking(b"/", b"second")[:20], asking(b"/", b"second")[20:], asking(b"/", b"third")):
            writer.write(piece)
            await writer.drain()
        answers = await reader.readuntil(b"third")
        assert [answers.count(b"HTTP/1.1 200 OK\r\n"), answers.count(b"HTTP/1.1")] == [3, 3]
        places = [answers.index(word) for word in (b"first", b"second", b"third")]
        assert places == sorted(places)
        writer.close()

    talk_with(app, talk, seconds=TALK_SECONDS_MAX)


def test_what_breaks_before_its_answer_is_told_as_such_and_ends_the_connection() -> None:
    async def talk(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking(b"/breaks", b"one"))
        answer = await reader.read()
        writer.close()
        return answer

    answer = talk_with(app, talk, seconds=TALK_SECONDS_MAX)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"inside" not in answer


def test_a_client_that_leaves_after_a_whole_request_is_noticed_and_its_answer_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talk(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking(b"/slow", b"one"))
        await writer.drain()
        writer.close()  # the application ends with the server, which waits for it

    talk_with(app, talk, seconds=TALK_SECONDS_MAX)
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def test_a_refused_request_is_told_so_by_h11() -> None:
    async def talk(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking(b"/", b"one"))
        await reader.readuntil(b"one")
        writer.write(PLAIN.replace(b"X-A: b c ", b"Transfer-Encoding: chunked\r\nX-A: b").replace(b"Host", b"Host "))
        answer = await reader.read()
        writer.close()
        return answer

    assert talk_with(app, talk, seconds=TALK_SECONDS_MAX).startswith(b"HTTP/1.1 400 ")
