"""Asks for jobs by the clock over plain sockets, with little CPU of its own, so that the door's core stays the door's.

An HTTP client library takes as much CPU for a request as the door does, and its own pauses would count as the door's.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import uvloop

CONNECTIONS = 200
SECONDS_MAX = 300.0
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
ACCEPTED = b"HTTP/1.1 202 "


def times_by_the_clock(port: int, body: Callable[[int], bytes], *, per_second: float, requests: int) -> list[float]:
    """Post `body(number)` so many times; return the milliseconds of each from when it was due to its whole answer.

    A request that has to wait for a connection, because all wait for their answers, counts from when it was due.
    """
    return uvloop.run(_Asking(port, body, per_second, requests).run())


class _Asking:
    """All requests of one run."""

    def __init__(self, port: int, body: Callable[[int], bytes], per_second: float, requests: int) -> None:
        self._port = port
        self._body = body
        self._interval = 1 / per_second
        self._requests = requests
        self._asked = 0
        self._free: deque[_Connection] = deque()  # in turns, so that none is idle for so long that the server ends it
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._done = asyncio.Event()
        self.times: list[float] = []

    async def run(self) -> list[float]:
        """Ask, and return the times."""
        self._loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, connection = await self._loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
            self._free.append(connection)
        self._start = time.monotonic() + 0.5  # the event loop's clock, which tells whole milliseconds only
        self._loop.call_at(self._start, self._ask)
        async with asyncio.timeout(SECONDS_MAX):
            await self._done.wait()
        return self.times

    def _ask(self) -> None:
        """Ask for what is due, and come back when the next one is."""
        while (due := self._start + self._asked * self._interval) <= time.monotonic():
            request = self._request(self._asked)
            if self._free:
                self._free.popleft().ask(due, request)
            else:
                self._waiting.append((due, request))
            self._asked += 1
            if self._asked == self._requests:
                return
        self._loop.call_at(due, self._ask)

    def _request(self, number: int) -> bytes:
        body = self._body(number)
        head = (
            b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        return head % len(body) + body

    def lost(self, connection: "_Connection") -> None:
        """The server closed a connection, as one does that was not needed for long: the others go on."""
        if connection in self._free:
            self._free.remove(connection)

    def answered(self, connection: "_Connection", due: float) -> None:
        """Note an answer; its connection goes on with the next request or waits for one."""
        self.times.append(1000 * (time.monotonic() - due))
        if self._waiting:
            connection.ask(*self._waiting.popleft())
        else:
            self._free.append(connection)
        if len(self.times) == self._requests:
            self._done.set()


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, asking: _Asking) -> None:
        self._asking = asking
        self._due = 0.0
        self._answer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as a stream has it
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._asking.lost(self)

    def ask(self, due: float, request: bytes) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(HEAD_END)
        if not end:
            return
        length = int(head.lower().partition(LENGTH)[2].partition(b"\r")[0])
        if len(body) < length:
            return
        assert head.startswith(ACCEPTED), self._answer
        self._answer = b""
        self._asking.answered(self, self._due)
