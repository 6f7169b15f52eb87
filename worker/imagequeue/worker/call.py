"""One call of the image API: sent once, with a total deadline and a bound on what is read."""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime

import httpx
from pydantic_core import from_json

from imagequeue.config.clock import Clock
from imagequeue.worker.answer import Answer, NoAnswer, Result
from imagequeue.worker.events import MEDIA_TYPE, OnSketch, body_of
from imagequeue.worker.http import CONNECT_SECONDS_MAX, TRANSPORT_ERRORS, cause_of, never_sent
from imagequeue.worker.request import Request

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""Ten images of 4 MB in base64, and room; more is cut off and counted as no answer."""
ERROR_BYTES_MAX = 64 * 1024
TEXT_CHARACTERS_MAX = 2000
URLS_MAX = 256

Files = list[tuple[str, tuple[str, bytes, str]]]


class TooMuch(Exception):
    """The answer is longer than is read."""


class Caller:
    """Makes calls over one transport, which others may share."""

    def __init__(self, transport: httpx.AsyncBaseTransport, clock: Clock, *, timeout_seconds: float) -> None:
        self._transport = transport
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    async def call(self, request: Request, files: Files | None = None, on_sketch: OnSketch | None = None) -> Result:
        """Return the answer, or that there was none and whether the provider may have had the request.

        Of an answer that comes as events, `on_sketch` gets each sketch as it comes.
        """
        sent_at = self._clock.now()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(request, files, on_sketch or _pass_over, sent_at)
        except TimeoutError:
            return self._none(sent_at, "timeout", f"no whole answer within {self._timeout_seconds:g} s")
        except TooMuch:
            return self._none(sent_at, "answer_too_large", f"the answer has more than {ANSWER_BYTES_MAX} bytes")
        except TRANSPORT_ERRORS as error:
            sent = not never_sent(error)
            code = "connection_lost" if sent else "connection_failed"
            name = type(cause_of(error)).__name__
            return self._none(sent_at, code, f"{name}: {error}", sent=sent)

    def _none(self, sent_at: datetime, code: str, message: str, *, sent: bool = True) -> NoAnswer:
        return NoAnswer(sent=sent, code=code, message=message, sent_at=sent_at, ended_at=self._clock.now())

    async def _exchange(self, request: Request, files: Files | None, on_sketch: OnSketch, sent_at: datetime) -> Result:
        response = await self._transport.handle_async_request(_request(request, files, self._timeout_seconds))
        try:
            if response.status_code == 200 and response.headers.get("content-type", "").startswith(MEDIA_TYPE):
                return await self._streamed(response, on_sketch, sent_at)
            body = await _read(response, ANSWER_BYTES_MAX if response.status_code == 200 else ERROR_BYTES_MAX)
        finally:
            await response.aclose()
        headers = {name.decode("ascii").lower(): value.decode("latin-1") for name, value in response.headers.raw}
        ended_at = self._clock.now()
        if response.status_code == 200 and not _whole(headers, body):
            return self._none(sent_at, "answer_cut", f"the answer was cut after {len(body)} bytes")
        value = _decode(body) if headers.get("content-encoding", "identity") == "identity" else None
        return Answer(
            status=response.status_code,
            headers=headers,
            body=value,
            text="" if value is not None and response.status_code == 200 else _text(body),
            sent_at=sent_at,
            ended_at=ended_at,
        )

    async def _streamed(self, response: httpx.Response, on_sketch: OnSketch, sent_at: datetime) -> Answer:
        body = await body_of(_bounded(response, ANSWER_BYTES_MAX), on_sketch)
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            text="" if body is not None else "a stream without a finished image",
            sent_at=sent_at,
            ended_at=self._clock.now(),
        )


async def _pass_over(event: bytes) -> None:
    """Nobody waits for sketches."""


async def _bounded(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    total = 0
    async for chunk in _stream(response):
        total += len(chunk)
        if total > limit:
            raise TooMuch
        yield chunk


def _request(request: Request, files: Files | None, timeout_seconds: float) -> httpx.Request:
    extensions = {"timeout": {"connect": CONNECT_SECONDS_MAX, "read": timeout_seconds}}
    url = _url(request.url)
    if files:
        fields = {name: _form_value(value) for name, value in request.fields.items()}
        return httpx.Request("POST", url, data=fields, files=files, headers=request.headers, extensions=extensions)
    body = json.dumps(request.fields, ensure_ascii=False).encode()
    headers = {**request.headers, "content-type": "application/json"}
    # Given as a stream, httpx leaves the headers alone; the transport sets host and length itself.
    made = httpx.Request("POST", url, headers=headers, stream=httpx.ByteStream(body), extensions=extensions)
    made.read()
    return made


def _form_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@functools.lru_cache(maxsize=URLS_MAX)
def _url(text: str) -> httpx.URL:
    """The same few addresses are called over and over; taking one apart costs a tenth of a call."""
    return httpx.URL(text)


async def _read(response: httpx.Response, limit: int) -> bytes:
    chunks: list[bytes] = []
    total = 0
    async for chunk in _stream(response):
        total += len(chunk)
        if total > limit:
            if response.status_code == 200:
                raise TooMuch
            break  # of an error only the beginning matters
        chunks.append(chunk)
    return b"".join(chunks)


def _stream(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous transport is needed")
    return response.stream


def _whole(headers: Mapping[str, str], body: bytes) -> bool:
    length = headers.get("content-length", "")
    return not length.isdigit() or int(length) == len(body)


def _decode(body: bytes) -> object:
    try:
        value: object = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None
    return value


def _text(body: bytes) -> str:
    return body[:TEXT_CHARACTERS_MAX].decode(errors="replace")
