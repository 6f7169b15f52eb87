"""A few questions to the embedded server over one loopback connection, with a deadline for each.

The parser is hiredis. A whole client library would make the watcher, which lives as long as the server, three times
as large.
"""

import select
import socket
from types import TracebackType
from typing import Final, Self

import hiredis

ANSWER_SECONDS_MAX: Final = 2.0
_RECEIVE_BYTES: Final = 65_536


class Wire:
    """One authenticated connection. Every trouble, a refusal by the server included, is an OSError."""

    def __init__(self, port: int, password: str) -> None:
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace")
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS_MAX)
        try:
            self.ask("AUTH", password)
        except OSError:
            self._socket.close()
            raise

    def ask(self, *command: str) -> str:
        """Return the answer to one command as text; OSError when there is none in time or it is an error."""
        self._socket.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub says "one item"
        answer = self._reader.gets()
        while answer is False:  # each turn waits at most the deadline, and no answer of ours comes in many pieces
            received = self._socket.recv(_RECEIVE_BYTES)
            if not received:
                raise ConnectionResetError("the embedded server closed the connection")
            self._reader.feed(received)
            answer = self._reader.gets()
        if isinstance(answer, hiredis.ReplyError):
            raise ConnectionRefusedError(str(answer))
        return str(answer)

    def figures(self, section: str) -> dict[str, str]:
        """Return the `name:value` lines of one section of INFO."""
        lines = (line.partition(":") for line in self.ask("INFO", section).splitlines())
        return {name: value for name, separator, value in lines if separator}

    def closed_within(self, seconds: float) -> bool:
        """Wait so long; return early, and True, when the server closes the connection."""
        readable, _, _ = select.select([self._socket], [], [], seconds)
        return bool(readable)  # it never speaks unasked, so what there is to read is the end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
