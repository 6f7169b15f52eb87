"""Thousands of damaged requests to every route of a real door: none is answered 5xx, and the door serves on.

`FUZZED_BODIES=10000 pytest tests/door/test_door_fuzzed_bodies.py` is the long run, part of `make soak`.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest
from door_stack import Stack

from imagequeue.config.job import Job
from imagequeue.producer.door.app import api_routes
from imagequeue.producer.door.openai_request import KNOWN

FUZZED = int(os.environ.get("FUZZED_BODIES", "800"))
AT_ONCE = 16
ANSWER_SECONDS_MAX = 60.0
LATER = "2999-01-01T00:00:00Z"
NOBODY = "no one"
"""No tenant may be called so: what is acceptable but for this makes no job."""
KINDS = ("application/json", "multipart/form-data; boundary=xxboundary", "text/plain", "image/png", "é")
MORE_HEADERS = ("idempotency-key", "x-imagequeue-patience", "x-imagequeue-priority", "range", "if-none-match")

pytestmark = [pytest.mark.xdist_group("door"), pytest.mark.timeout(180 + FUZZED // 10)]

GOOD: tuple[dict[str, object], ...] = (
    {"prompt": "a cat", "model": "dall-e-3", "tenant": NOBODY, "not_before": LATER, "tags": {"a": "b"}, "n": 1},
    {"prompt": "a cat", "model": "gpt-image-2", "user": NOBODY, "size": "1024x1024", "response_format": "b64_json"},
    {"priority": "high"},
    {"images": ["0" * 64]},
    {"reason": "weekend", "minutes": 5},
)
NAMES = (*Job.model_fields, *KNOWN, "promt", "__proto__", "")
TEXTS = (
    "", " ", "\0", "\ud800", "é" * 40, "x" * 33_000, "../../etc/passwd", "{{7*7}}", "' OR 1=1 --", "\r\nX-A: b",
    "1e999", "NaN", "0x10", "-1", "9" * 400, "2026-13-45", LATER, "sha256:" + "0" * 64, "data:image/png;base64,AAAA", "http://[",
)  # fmt: skip
VALUES: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    2**200,
    1.5,
    1e308,
    [],
    {},
    [[]],
    [{}],
    {"a": {"b": []}},
    *TEXTS,
)


def mutated(chance: random.Random) -> bytes:
    """Return a body: a good one with fields changed, or bytes that were damaged on the way."""
    value: object = dict(chance.choice(GOOD))
    for _ in range(chance.randrange(4)):
        if isinstance(value, dict):
            value[chance.choice(NAMES)] = chance.choice(VALUES)
    if chance.random() < 0.15:
        value = chance.choice((*VALUES, [value] * chance.randrange(4)))
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return chance.choice(DAMAGES)(text, chance)


def _flipped(text: bytes, chance: random.Random) -> bytes:
    return bytes(byte ^ (1 << chance.randrange(8)) if chance.random() < 0.05 else byte for byte in text)


def _form(text: bytes, chance: random.Random) -> bytes:
    name = chance.choice((b"image", b"image[]", b"mask", b"prompt", b"n", b'"', b"\xff"))
    part = b'Content-Disposition: form-data; name="%s"; filename="a.png"\r\n\r\n' % name
    return b"--xxboundary\r\n" + part + text + chance.choice((b"\r\n--xxboundary--\r\n", b"\r\n--xx", b""))


Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: tuple[Damage, ...] = (
    lambda text, _: text,
    lambda text, _: text,
    lambda text, chance: text[: chance.randrange(len(text) + 1)],
    _flipped,
    _form,
    lambda text, chance: b"\n".join([text] * chance.randrange(1, 5)),
    lambda _, chance: b"[" * chance.randrange(3_000),
    lambda _, chance: b'{"a":' * chance.randrange(3_000),
    lambda _, chance: chance.randbytes(chance.randrange(200)),
)


def asked(chance: random.Random) -> tuple[str, str, dict[str, bytes], bytes]:
    """Return a request's method, path, headers and body: of any route, with any of them damaged."""
    route = chance.choice(ROUTES)
    path = route.path
    while "{" in path:
        name = path[path.index("{") : path.index("}") + 1]
        wrong = quote(chance.choice(TEXTS)[:80].encode("utf-8", "surrogatepass"))
        path = path.replace(name, chance.choice(("0" * 64, "main", "dall-e-3", wrong or "x")), 1)
    if chance.random() < 0.3:
        names = ("id", "status", "tag", "limit", "after", "wait", "since", "group_by", "handles", "q", "tier")
        text = quote(chance.choice(TEXTS)[:200].encode("utf-8", "surrogatepass"))
        path += f"?{chance.choice(names)}={'0' if 'events' in path else text}"
    headers = {"content-type": chance.choice(KINDS).encode("latin-1"), "x-imagequeue-tenant": NOBODY.encode()}
    if chance.random() < 0.3:
        name = chance.choice(MORE_HEADERS)
        text = chance.choice(TEXTS)[:300].encode("utf-8", "replace").translate(None, b"\0\r\n")
        headers[name] = text.strip()
    method = next(iter((route.methods or set()) - {"HEAD"}))
    return method, path, headers, mutated(chance) if method == "POST" else b""


ROUTES = [route for route in api_routes() if not route.path.endswith(("/suspend", "/resume"))] + [
    route for route in api_routes() if "POST" in (route.methods or ())
] * 3


def test_no_damaged_request_is_answered_with_a_fault_of_the_doors_own(stack: Stack) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)  # noqa: T201  # shown when the test fails
    chance = random.Random(seed)  # noqa: S311  # a test's dice
    requests = [asked(chance) for _ in range(FUZZED)]
    statuses, faults = asyncio.run(send_all(stack.open_url, requests))
    assert not faults, faults[:3]
    assert sum(statuses.values()) == FUZZED
    assert statuses[400] > FUZZED / 10
    assert httpx.get(f"{stack.open_url}/readyz").status_code == 200


Request = tuple[str, str, dict[str, bytes], bytes]


async def send_all(url: str, requests: list[Request]) -> tuple[Counter[int], list[object]]:
    """Return how often each status was answered, and the requests that were answered 5xx."""
    statuses: Counter[int] = Counter()
    faults: list[object] = []
    waiting = iter(requests)

    async def send_some(client: httpx.AsyncClient) -> None:
        for method, path, headers, body in waiting:
            answer = await client.request(method, path, headers=headers, content=body)
            statuses[answer.status_code] += 1
            if answer.status_code >= 500:
                faults.append((method, path, headers, body[:300], answer.text))

    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS_MAX) as client:
        await asyncio.gather(*(send_some(client) for _ in range(AT_ONCE)))
    return statuses, faults
