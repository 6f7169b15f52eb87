"""Requests that come whole in one read are read by httptools; what comes in parts or is in any way unusual, by h11.

h11 takes a sixth of all that a small request costs. httptools (llhttp, in C) takes a twentieth of that, but tells
neither where a request ends nor all that h11 refuses. So it answers one question: is this exactly one plain request?
One that decides on the connection, is followed by another, or is not what h11 would read, is none.
"""

from typing import Final, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

WHOLE_BYTES_MAX: Final = 65_536
"""A request in one piece is kept as it came until it is answered; larger ones come in parts anyway."""
HEAD_END: Final = b"\r\n\r\n"
DECIDE_ON_THE_CONNECTION: Final = frozenset({b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer"})
STAYS_OPEN: Final = b"keep-alive"

Header = tuple[bytes, bytes]


class Whole(NamedTuple):
    """A request. Names of headers are in lower case; `target` is path and query as they were sent."""

    method: str
    target: bytes
    headers: list[Header]
    body: bytes


def whole_request(data: bytes, head_bytes_max: int) -> Whole | None:
    """Return the request that `data` is; None when it is not exactly one, whole and plain: then h11 says what it is."""
    end = data.find(HEAD_END, 0, head_bytes_max) if len(data) <= WHOLE_BYTES_MAX else -1
    if end < 0:
        return None
    found = _Found()
    parser = HttpRequestParser(found)
    try:
        parser.feed_data(data)
    except (HttpParserError, HttpParserUpgrade):
        return None
    method, body = parser.get_method(), b"".join(found.body)
    if found.ended != 1 or end + len(HEAD_END) + len(body) != len(data) or not _is_plain(found.headers):
        return None
    if not found.target.isascii() or not data.startswith(b"%b %b HTTP/1.1\r\n" % (method, found.target)):
        return None
    return Whole(method.decode(), found.target, found.headers, body)


class _Found:
    """What httptools comes across."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[Header] = []
        self.body: list[bytes] = []
        self.ended = 0

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_body(self, part: bytes) -> None:
        self.body.append(part)

    def on_message_complete(self) -> None:
        self.ended += 1


def _is_plain(headers: list[Header]) -> bool:
    hosts = 0
    for name, value in headers:
        if name in DECIDE_ON_THE_CONNECTION or (name == b"connection" and value.lower() != STAYS_OPEN):
            return False
        hosts += name == b"host"
    return hosts == 1
