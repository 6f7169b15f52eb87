"""Damaged requests: good bodies with anything changed in them, on every route, as JSON, forms, files and bare bytes.

What would be a good job is of a tenant whose name is refused, so that none is made.
"""

import gzip
import json
import os
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from imagequeue.config.job import Job
from imagequeue.producer.door.app import api_routes
from imagequeue.producer.door.openai_request import KNOWN

FUZZED = int(os.environ.get("FUZZED_BODIES", "800"))
LATER = "2999-01-01T00:00:00Z"
NOBODY = "no one"
"""No tenant may be called so: what is acceptable but for this makes no job."""
BOUNDARY = b"xxboundary"
FORM = "multipart/form-data; boundary=xxboundary"
JSON = "application/json"
KINDS = (
    JSON, "application/json; charset=utf-16", "application/x-ndjson", "text/plain", "image/png", "", "é",
    FORM, "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=xxboundary",
    "application/x-www-form-urlencoded",
)  # fmt: skip
MORE_HEADERS = (
    "idempotency-key", "x-imagequeue-patience", "x-imagequeue-priority", "x-imagequeue-cache", "x-imagequeue-check",
    "x-imagequeue-tag-a", "range", "if-none-match", "content-encoding", "accept-encoding", "x-request-id", "expect",
)  # fmt: skip

GOOD: tuple[dict[str, Any], ...] = (
    {"prompt": "a cat", "model": "dall-e-3", "tenant": NOBODY, "not_before": LATER, "tags": {"a": "b"}, "n": 1},
    {
        "prompt": "a hat",
        "model": "gpt-image-2",
        "operation": "edit",
        "images": ["https://a.example/b.png"],
        "tenant": NOBODY,
    },
    {"prompt": "a cat", "model": "gpt-image-2", "user": NOBODY, "size": "1024x1024", "response_format": "b64_json"},
    {
        "prompt": "a hat",
        "model": "gpt-image-2",
        "images": [{"file_id": "sha256:" + "0" * 64}],
        "mask": {"image_url": "http://a"},
    },
    {"priority": "high"},
    {"images": ["0" * 64]},
    {"reason": "weekend", "minutes": 5},
)
NAMES = (*Job.model_fields, *KNOWN, "promt", "__proto__", "")
TEXTS = (
    "", " ", "\0", "\ud800", "\udfff\ud800", "\u202e", "\ufeff", "é" * 40, "x" * 33_000, "../../etc/passwd", "{{7*7}}",
    "' OR 1=1 --", "\r\nX-A: b", "1e999", "NaN", "0x10", "-1", "9" * 400, "2026-13-45", "0001-01-01T00:00:00+23:59",
    LATER, "sha256:" + "0" * 64, "data:image/png;base64,AAAA", "data:,", "http://[", "http://169.254.169.254/", "file:///etc",
)  # fmt: skip
VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 2**64, 2**200, -(2**200), 1.5, -0.0, 1e308, 5e-324,
    [], {}, [[]], [{}], {"a": {"b": []}}, {"": None}, [None] * 50, {str(n): n for n in range(200)}, *TEXTS,
)  # fmt: skip
BARE = (
    "1e400", "-1e400", "NaN", "Infinity", "-Infinity", "9" * 5_000, "0." + "0" * 4_000 + "1", "01", "+1", "'a'", "",
    "undefined", "[" * 900 + "]" * 900, '{"a":' * 500 + "1" + "}" * 500,
    '"\\ud800"', '"\\u0000"', '"' + "\\u00e9" * 2_000 + '"',
)  # fmt: skip
"""What stands for a value in the JSON text itself, also where no Python value comes out so."""

Request = tuple[str, str, dict[str, bytes], bytes]
Damage = Callable[[bytes, random.Random], bytes]


def mutated(chance: random.Random) -> bytes:
    """Return a body: a good one with fields changed, or bytes that were damaged on the way."""
    value: object = dict(chance.choice(GOOD))
    for _ in range(chance.randrange(4)):
        if isinstance(value, dict):
            value[chance.choice(NAMES)] = nested(chance)
    if chance.random() < 0.15:
        value = chance.choice((*VALUES, [value] * chance.randrange(4)))
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if chance.random() < 0.15:
        text = with_bare(text, chance)
    return chance.choice(DAMAGES)(text, chance)


def nested(chance: random.Random) -> object:
    """Return a value of any kind, now and then deep inside others."""
    value: object = chance.choice(VALUES)
    for _ in range(chance.choice((0, 0, 0, 0, 1, 2, 40, 300))):
        value = [value] if chance.random() < 0.5 else {chance.choice(("a", "b", "")): value}
    return value


def with_bare(text: bytes, chance: random.Random) -> bytes:
    """Return the text of an object with one more member, whose name may be there already."""
    name = chance.choice(NAMES)
    member = f"{json.dumps(name)}: {chance.choice(BARE)}".encode()
    return text[:-1] + (b", " if len(text) > 2 else b"") + member + b"}" if text.endswith(b"}") else text


def _flipped(text: bytes, chance: random.Random) -> bytes:
    return bytes(byte ^ (1 << chance.randrange(8)) if chance.random() < 0.05 else byte for byte in text)


def _cut_gzip(text: bytes, chance: random.Random) -> bytes:
    packed = gzip.compress(text)
    return packed[: chance.randrange(len(packed))]


DAMAGES: tuple[Damage, ...] = (
    lambda text, _: text,
    lambda text, _: text,
    lambda text, _: text,
    lambda text, chance: text[: chance.randrange(len(text) + 1)],
    _flipped,
    lambda text, chance: b"\n".join([text] * chance.randrange(1, 5)),
    lambda text, _: b"\xef\xbb\xbf" + text,
    lambda text, _: text.decode("utf-8", "replace").encode("utf-16"),
    _cut_gzip,
    lambda _, chance: b"[" * chance.randrange(3_000),
    lambda _, chance: b'{"a":' * chance.randrange(3_000),
    lambda _, chance: chance.randbytes(chance.randrange(200)),
)


def png(chance: random.Random) -> bytes:
    """Return what begins as a PNG does: of any size in its header, cut, or with a chunk that is a bomb."""
    wide, high = (chance.choice((0, 1, 64, 1024, 20_000, 2**31 - 1)) for _ in range(2))
    header = struct.pack(">IIBBBBB", wide, high, chance.choice((1, 8, 16, 99)), chance.choice((0, 2, 3, 6, 9)), 0, 0, 0)
    pixels = zlib.compress(b"\0" * chance.choice((0, 10, 100_000)))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, part) for kind, part in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )
    return data[: chance.choice((len(data), len(data), 8, 20, chance.randrange(len(data))))]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def form(chance: random.Random) -> bytes:
    """Return a form for the routes that take images, with anything wrong in its parts or between them."""
    names = (
        "image",
        "image[]",
        "mask",
        "prompt",
        "model",
        "n",
        "size",
        "stream",
        "response_format",
        "user",
        '"',
        "\xff",
        "",
    )
    parts = [_part(chance.choice(names), chance) for _ in range(chance.choice((0, 1, 2, 3, 5, 45)))]
    if chance.random() < 0.5:
        parts.append(_headed('name="prompt"', b"a hat"))
    end = chance.choice((b"--", b"--", b"--\r\n", b"", b"-", b"--junk"))
    joint = chance.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b""))
    body = joint.join([*(b"--" + BOUNDARY + b"\r\n" + part for part in parts), b"--" + BOUNDARY + end])
    return chance.choice(
        (lambda: body, lambda: body, lambda: body[: chance.randrange(len(body))], lambda: _flipped(body, chance))
    )()


def _part(name: str, chance: random.Random) -> bytes:
    file = chance.random() < 0.6
    names = (
        '; filename="a.png"',
        '; filename=""',
        "; filename*=UTF-8''%ff",
        '; filename="../\0"',
        '; filename="' + "x" * 3_000 + '"',
    )
    where = f'name="{name}"' + (chance.choice(names) if file else "")
    content = png(chance) if file else str(chance.choice(VALUES))[:2_000].encode("utf-8", "replace")
    return _headed(
        where, content, chance.choice(("", "", "image/png", "text/html", "multipart/mixed; boundary=b", "é"))
    )


def _headed(where: str, content: bytes, kind: str = "") -> bytes:
    head = f"Content-Disposition: form-data; {where}\r\n" + (f"Content-Type: {kind}\r\n" if kind else "")
    return head.encode("latin-1", "replace") + b"\r\n" + content


def asked(chance: random.Random) -> Request:
    """Return a request's method, path, headers and body: of any route, with any of them damaged."""
    route = chance.choice(ROUTES)
    method = next(iter((route.methods or set()) - {"HEAD"}))
    headers = {"content-type": _kind(chance).encode("latin-1"), "x-imagequeue-tenant": NOBODY.encode()}
    for _ in range(chance.choice((0, 0, 1, 2))):
        text = chance.choice((*TEXTS, "gzip", "bytes=0-", "bytes=9-1,-0", "use", "block"))[:300]
        headers[chance.choice(MORE_HEADERS)] = text.encode("utf-8", "replace").translate(None, b"\0\r\n").strip()
    headers.pop("expect", None) if method == "GET" else None
    takes_images = route.path.startswith("/v1/images") and method == "POST"
    if takes_images and chance.random() < 0.6:
        headers["content-type"] = chance.choice((FORM, FORM, FORM, _kind(chance))).encode("latin-1")
        return method, _path(route.path, chance), headers, chance.choice((form, form, form, png))(chance)
    return method, _path(route.path, chance), headers, mutated(chance) if method == "POST" else b""


def _kind(chance: random.Random) -> str:
    return JSON if chance.random() < 0.5 else chance.choice(KINDS)


def _path(path: str, chance: random.Random) -> str:
    is_stream = path.endswith("/events")
    while "{" in path:
        name = path[path.index("{") : path.index("}") + 1]
        wrong = quote(chance.choice(TEXTS)[:80].encode("utf-8", "surrogatepass"))
        path = path.replace(name, chance.choice(("0" * 64, "main", "dall-e-3", wrong or "x")), 1)
    if chance.random() < 0.3:
        names = ("id", "status", "tag", "limit", "after", "wait", "since", "group_by", "handles", "q", "tier", "tenant",
                 "expires", "signature", "download", "images_per_day", "error", "priority", "model")  # fmt: skip
        text = quote(chance.choice(TEXTS)[:200].encode("utf-8", "surrogatepass"))
        path += f"?{chance.choice(names)}={'0' if is_stream else text}"
    return path


FRAMES = (
    "Content-Length: {n}", "Content-Length: {less}", "Content-Length: {more}", "Content-Length: -1",
    "Content-Length: 1e3",
    "Content-Length: {n}\r\nContent-Length: {more}", "Content-Length: {n}\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: x",
    "Content-Length: 99999999999999999999", "Expect: 100-continue\r\nContent-Length: {n}", "",
)  # fmt: skip
LINES = (
    "POST {path} HTTP/1.1", "POST {path} HTTP/1.1", "POST {path} HTTP/1.1", "POST {path} HTTP/1.0",
    "POST {path} HTTP/9.9", "POST {path}", "post {path} HTTP/1.1", "GET {path} HTTP/1.1", "\0\1\2 / HTTP/1.1",
    "CONNECT a:1 HTTP/1.1", "OPTIONS * HTTP/1.1",
)  # fmt: skip


def raw_asked(chance: random.Random) -> bytes:
    """Return the bytes of a connection: one request or two, with broken lines, headers, lengths or chunks."""
    route = chance.choice([one for one in ROUTES if "POST" in (one.methods or ())])
    body = chance.choice((mutated, form))(chance)
    line = chance.choice(LINES).format(path=_path(route.path, chance)[:2_000])
    frame = chance.choice(FRAMES).format(n=len(body), less=max(len(body) - 9, 0), more=len(body) + 9)
    odd = chance.choice(
        ("", "", "", "X-A: \0", "X A: b", ": b", "X-A: " + "y" * 40_000, " folded", "Host: a", "Connection: close")
    )
    head = "\r\n".join([line, "Host: localhost", f"X-ImageQueue-Tenant: {NOBODY}", f"Content-Type: {JSON}", frame, odd])
    sent = chunked(body, chance) if "chunked" in frame else body
    whole = head.replace("\r\n\r\n", "\r\n").rstrip("\r\n").encode("latin-1", "replace") + b"\r\n\r\n" + sent
    return (whole + whole)[: chance.choice((len(whole), len(whole), 2 * len(whole), chance.randrange(len(whole))))]


def chunked(body: bytes, chance: random.Random) -> bytes:
    """Return a body in chunks, of which one may be as none is."""
    sizes = [chance.randrange(1, 200) for _ in range(8)]
    parts, at = [], 0
    for size in sizes:
        piece = body[at : at + size]
        said = chance.choice(
            (f"{len(piece):x}",) * 9 + ("-1", "zz", f"{len(piece) + 5:x}", "ffffffffffffffffff", "1;a=b", "")
        )
        parts.append(said.encode() + b"\r\n" + piece + b"\r\n")
        at += size
    return b"".join(parts) + chance.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"0"))


ROUTES = [route for route in api_routes() if not route.path.endswith(("/suspend", "/resume"))] + [
    route for route in api_routes() if "POST" in (route.methods or ())
] * 3
