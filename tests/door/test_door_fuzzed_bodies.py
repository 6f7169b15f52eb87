"""Thousands of damaged requests to every route of a real door: none is answered 5xx, and the door serves on.

`FUZZED_BODIES=10000 pytest tests/door/test_door_fuzzed_bodies.py` is the long run, part of `make soak`.
"""

import asyncio
import random
import re
from collections import Counter
from urllib.parse import urlsplit

import httpx
import pytest
from door_fuzz import FUZZED, Request, asked, raw_asked
from door_stack import Stack

AT_ONCE = 16
RAW_SHARE = 8
"""One in so many requests is written to the wire by hand, with broken framing."""
ANSWER_SECONDS_MAX = 60.0
RAW_SECONDS_MAX = 10.0
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ")

pytestmark = [pytest.mark.xdist_group("door"), pytest.mark.timeout(180 + FUZZED // 10)]


def dice() -> random.Random:
    """Return a test's dice; the seed is shown when the test fails."""
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)  # noqa: T201  # shown when the test fails
    return random.Random(seed)  # noqa: S311  # a test's dice


def test_no_damaged_request_is_answered_with_a_fault_of_the_doors_own(stack: Stack) -> None:
    chance = dice()
    requests = [asked(chance) for _ in range(FUZZED)]
    statuses, faults = asyncio.run(send_all(stack.open_url, requests))
    print(dict(statuses))  # noqa: T201  # the figures of a long run
    assert not faults, faults[:3]
    assert sum(statuses.values()) == FUZZED
    assert statuses[400] > FUZZED / 10
    assert httpx.get(f"{stack.open_url}/readyz").status_code == 200


def test_no_damaged_framing_is_answered_with_a_fault_or_disturbs_others(stack: Stack) -> None:
    chance = dice()
    requests = [raw_asked(chance) for _ in range(FUZZED // RAW_SHARE)]
    answered, faults = asyncio.run(write_all(stack.open_url, requests))
    print(dict(answered))  # noqa: T201  # the figures of a long run
    assert not faults, faults[:3]
    assert answered[400] > len(requests) / 10
    assert httpx.get(f"{stack.open_url}/readyz").status_code == 200


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


async def write_all(url: str, requests: list[bytes]) -> tuple[Counter[int], list[object]]:
    """Return how often each status was answered (0: none), and the requests that were answered 5xx."""
    statuses: Counter[int] = Counter()
    faults: list[object] = []
    waiting = iter(requests)
    address = urlsplit(url)

    async def write_some() -> None:
        for request in waiting:
            answer = await answer_to(str(address.hostname), int(address.port or 0), request)
            found = [int(status) for status in STATUS_LINE.findall(answer)] or [0]
            statuses.update(found)
            if max(found) >= 500:
                faults.append((request[:600], answer[:300]))

    await asyncio.gather(*(write_some() for _ in range(AT_ONCE)))
    return statuses, faults


async def answer_to(host: str, port: int, request: bytes) -> bytes:
    """Write some bytes, say that there are no more, and return all that comes back."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(RAW_SECONDS_MAX):
            writer.write(request)
            writer.write_eof()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
