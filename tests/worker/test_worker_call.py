"""One call against a real server that misbehaves: what came of it, and whether it may have been billed."""

import asyncio
import gzip
import json
import resource
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest
from worker_values import MODEL, job, org

from imagequeue.config.clock import SystemClock
from imagequeue.worker import call as call_module
from imagequeue.worker.answer import Answer, NoAnswer, Result
from imagequeue.worker.call import Caller
from imagequeue.worker.http import open_transport
from imagequeue.worker.request import Request, build_request

TIMEOUT_SECONDS = 1.0
GROWTH_BYTES_MAX = 50_000_000
BODY = json.dumps({"created": 1, "data": [{"b64_json": "AAAA"}]}).encode()

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def http(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """Return an answer on the wire."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one whole request and return its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    return await reader.readexactly(length)


def sends(data: bytes) -> Handler:
    """Return a server that reads the request, sends these bytes and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(data)
        await writer.drain()

    return handle


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset, not a goodbye."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def request(port: int) -> Request:
    """Return a job's call of a server on this port."""
    return build_request(job(), MODEL, org(base_url=f"http://127.0.0.1:{port}/v1"), client_request_id="job-1")


def outcome(handle: Handler, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Result:
    """Make one call of a server that behaves so, and return what came of it."""

    async def story() -> Result:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handle(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        transport = open_transport()
        try:
            caller = Caller(transport, SystemClock(), timeout_seconds=timeout_seconds)
            return await caller.call(request(server.sockets[0].getsockname()[1]))
        finally:
            await transport.aclose()
            server.close()

    return asyncio.run(story())


def no_answer(handle: Handler, **how: float) -> NoAnswer:
    """Return the outcome of a call that brought no answer."""
    result = outcome(handle, **how)
    assert isinstance(result, NoAnswer), result
    return result


def answered(handle: Handler) -> Answer:
    """Return the outcome of a call that was answered."""
    result = outcome(handle)
    assert isinstance(result, Answer), result
    return result


def test_a_good_answer_is_read_whole() -> None:
    result = answered(sends(http("200 OK", BODY, "X-Request-Id: req_1", "Content-Type: application/json")))
    assert (result.status, result.body, result.request_id) == (200, json.loads(BODY), "req_1")
    assert result.sent_at <= result.ended_at


def test_an_error_is_an_answer_with_its_headers_and_text() -> None:
    body = json.dumps({"error": {"code": "rate_limit_exceeded", "message": "slower"}}).encode()
    result = answered(sends(http("429 Too Many Requests", body, "Retry-After: 3")))
    assert (result.status, result.headers["retry-after"]) == (429, "3")
    assert "slower" in result.text


def test_what_is_sent_is_the_request_as_json_sent_once() -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        reset(writer)

    assert no_answer(handle).sent
    assert [json.loads(body)["prompt"] for body in seen] == ["a cat"]


def test_nobody_listening_is_certainly_not_billed() -> None:
    async def story() -> Result:
        transport = open_transport()
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            caller = Caller(transport, SystemClock(), timeout_seconds=TIMEOUT_SECONDS)
            result = await caller.call(request(sock.getsockname()[1]))
        await transport.aclose()
        return result

    result = asyncio.run(story())
    assert isinstance(result, NoAnswer)
    assert (result.sent, result.code) == (False, "connection_failed")


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Read the request and never answer."""
    await read_request(reader)
    await reader.read()


async def reset_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset before a byte is read."""
    reset(writer)


async def reset_after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset when the whole request is here."""
    await read_request(reader)
    reset(writer)


async def close_after(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Hang up politely when the whole request is here."""
    await read_request(reader)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the answer a byte at a time, for longer than the deadline."""
    await read_request(reader)
    for number in range(200):
        writer.write(http("200 OK", BODY)[number : number + 1])
        await writer.drain()
        await asyncio.sleep(0.02)


SENT_AND_UNANSWERED = {
    "reset at once": (reset_at_once, "connection_lost"),
    "reset after the request": (reset_after, "connection_lost"),
    "closed after the request": (close_after, "connection_lost"),
    "cut in the head": (sends(b"HTTP/1.1 200 O"), "connection_lost"),
    "cut in the body": (sends(http("200 OK", BODY[:10], length=len(BODY))), None),
    "garbage": (sends(b"\x00\x01garbage\r\n\r\n"), "connection_lost"),
    "a wrong chunk": (sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc"), None),
}


@pytest.mark.parametrize(("handle", "code"), SENT_AND_UNANSWERED.values(), ids=SENT_AND_UNANSWERED.keys())
def test_a_call_that_was_sent_and_not_answered_may_be_billed(handle: Handler, code: str | None) -> None:
    result = no_answer(handle)
    assert result.sent
    assert code in (None, result.code)
    assert "ConnectTimeout" not in result.message, "whoever settles the doubt would believe that nothing was sent"


@pytest.mark.parametrize("handle", [hang, drip])
def test_the_deadline_is_for_the_whole_call(handle: Handler) -> None:
    result = no_answer(handle, timeout_seconds=0.3)
    assert (result.sent, result.code) == (True, "timeout")
    assert 0.25 < (result.ended_at - result.sent_at).total_seconds() < 20


@pytest.mark.parametrize("body", [BODY[: len(BODY) // 2], b"", b"<html>", b'{"data": NaN}', b"\xff\xfe"])
def test_a_whole_answer_that_is_no_json_has_no_body_and_keeps_its_text(body: bytes) -> None:
    result = answered(sends(http("200 OK", body)))
    assert result.body is None
    assert result.text == body.decode(errors="replace")


def test_an_endless_answer_is_cut_off_and_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "ANSWER_BYTES_MAX", 4_000_000)

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 1_000_000)
            await writer.drain()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = no_answer(endless, timeout_seconds=20)
    assert (result.sent, result.code) == (True, "answer_too_large")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < GROWTH_BYTES_MAX


def test_a_compressed_answer_we_did_not_ask_for_is_not_unfolded() -> None:
    """A few hundred KiB that would be 200 MB."""
    bomb = gzip.compress(b" " * 200_000_000, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = answered(sends(http("200 OK", bomb, "Content-Encoding: gzip")))
    assert result.body is None
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < GROWTH_BYTES_MAX


def test_of_a_long_error_only_the_beginning_is_read() -> None:
    result = answered(sends(http("500 Internal Server Error", b"x" * 10_000_000)))
    assert result.status == 500
    assert len(result.text) <= call_module.TEXT_CHARACTERS_MAX


def test_a_redirect_is_not_followed() -> None:
    result = answered(sends(http("307 Temporary Redirect", b"", "Location: http://127.0.0.1:1/elsewhere")))
    assert result.status == 307
