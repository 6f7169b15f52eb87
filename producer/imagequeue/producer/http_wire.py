"""Requests to the door, sent again until they are answered or their deadline is over; refusals as our own errors.

Every request here may be sent twice without harm: jobs go under idempotency keys, all else says what is to be.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from imagequeue.config.clock import SystemClock
from imagequeue.config.errors import (
    ConfigError,
    IdempotencyConflict,
    ImageQueueError,
    JobRefused,
    NotAllowed,
    NotFound,
    Unavailable,
)
from imagequeue.queue.acts import NotPossible

CONNECT_SECONDS_MAX: Final = 10.0
PAUSE_SECONDS_FIRST: Final = 0.1
PAUSE_SECONDS_MAX: Final = 5.0
CONNECTIONS_MAX: Final = 100
AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
CONFLICT: Final = "idempotency_conflict"
NOT_OF_TENANT: Final = "not_of_tenant"
"""The code of a 403 that leaves open whether there is such a thing: to this key there is none."""

Body = Callable[[], AsyncIterator[bytes]]
"""Gives a streamed body, anew for each try."""


class Wire:
    """One door. `deadline_seconds` bounds a request with all its tries; connection loss is no error before."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        deadline_seconds: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError("url: the address of a door is needed, e.g. http://127.0.0.1:8080")
        if deadline_seconds <= 0:
            raise ConfigError("deadline_seconds: more than 0 is needed")
        headers = {} if api_key is None else {"Authorization": f"Bearer {_sendable(api_key)}"}
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        timeout = httpx.Timeout(deadline_seconds, connect=CONNECT_SECONDS_MAX)
        self._deadline_seconds = deadline_seconds
        self._url = url
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/"), headers=headers, limits=limits, timeout=timeout, transport=transport
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        stream: Body | None = None,
        params: Iterable[tuple[str, str]] = (),
        extra_seconds: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return a good answer; one of our errors otherwise, Unavailable when there was none in time.

        `extra_seconds` is how long the door was asked to wait before it answers.
        """
        deadline = time.monotonic() + self._deadline_seconds + extra_seconds
        pause, said = PAUSE_SECONDS_FIRST, "no answer"
        while (left := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    answer = await self._http.request(
                        method,
                        path,
                        json=body,
                        content=None if stream is None else stream(),
                        params=list(params),
                        headers=headers,
                    )
            except (httpx.TransportError, TimeoutError) as error:
                said, wait = f"{type(error).__name__} {error}".strip(), pause
            else:
                if answer.is_success:
                    return answer
                problem = problem_of(answer)
                if answer.status_code not in AGAIN:
                    raise problem
                said, wait = str(problem), max(_retry_after(answer), pause)
            if time.monotonic() + wait >= deadline:
                break
            await asyncio.sleep(wait * (1 + random.random() / 4))  # noqa: S311 - spread, not a secret
            pause = min(pause * 2, PAUSE_SECONDS_MAX)
        raise Unavailable(f"the door at {self._url}: {said}")


def _sendable(api_key: str) -> str:
    """Return a key as a header takes it; ConfigError, which does not tell it, for what can be none."""
    key = api_key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError("api_key: a key as `imagequeue keys create` prints it is needed, or None")
    return key


def problem_of(answer: httpx.Response) -> ImageQueueError:
    """Return the error that a refusal means."""
    message, param, code = _told(answer)
    status = answer.status_code
    if status in (400, 413, 422):
        return JobRefused(param or "job", message.removeprefix(f"{param}: "))
    if status == 404 or code == NOT_OF_TENANT:
        return NotFound(message)
    if status in (401, 403):
        return NotAllowed(message)
    if status == 409:
        return IdempotencyConflict(message) if code == CONFLICT else NotPossible(message)
    return Unavailable(message)


def _told(answer: httpx.Response) -> tuple[str, str | None, str | None]:
    try:
        error = answer.json()["error"]
        return str(error["message"]), error.get("param"), error.get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"answered {answer.status_code}", None, None


def _retry_after(answer: httpx.Response) -> float:
    value = answer.headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max((parsedate_to_datetime(value) - SystemClock().now()).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return 0.0
