"""Hostile job hashes before a real worker: it runs none of them, stays alive, and does the honest work among them.

`FUZZED_HASHES=10000 pytest tests/door/test_door_fuzzed_hashes.py` is the long run, part of `make soak`.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from door_stack import Stack, ended, eventually, submit
from hostile_hashes import hostile
from redis import Redis

from imagequeue.config.embedded import running_url
from imagequeue.config.keys import Keys

FUZZED = int(os.environ.get("FUZZED_HASHES", "200"))
QUEUE = "gpt-image-2.low"
SECONDS_MAX = 60.0 + FUZZED / 50
REGISTRIES = ("failed", "scheduled", "deferred", "finished", "canceled", "wip")

pytestmark = [pytest.mark.xdist_group("door"), pytest.mark.timeout(180 + FUZZED // 10)]


@pytest.fixture
def server(stack: Stack) -> Iterator["Redis"]:
    """Yield the server, with nothing of a test's own left in it afterwards."""
    url = running_url(stack.data_dir)
    assert url is not None
    with Redis.from_url(url) as opened:
        yield opened
        keys = Keys()
        left = list(opened.scan_iter(f"{keys.job_prefix}fuzz-*", count=1_000))
        for registry in REGISTRIES:
            opened.zremrangebyrank(keys.registry(registry, QUEUE), 0, -1)
        if left:
            opened.unlink(*left)


def workers(stack: Stack) -> list[str]:
    with stack.client() as client:
        return [worker["name"] for worker in client.get("/v1/status").json()["workers"]]


def test_no_hash_is_run_and_the_worker_lives(stack: Stack, server: "Redis", tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)  # noqa: T201  # shown when the test fails
    chance, touched, keys = random.Random(seed), tmp_path / "touched", Keys()  # noqa: S311  # a test's dice
    before = workers(stack)
    with stack.client() as client:
        honest = [submit(client, model="gpt-image-2", priority="low")]
        for number in range(FUZZED):
            found = hostile(chance, touched)
            name = f"fuzz-{number}"
            known = {"data": found.data, "status": "queued", "origin": QUEUE, "created_at": "2026-01-01T00:00:00Z"}
            server.hset(keys.job(name), mapping=known | found.fields)
            server.rpush(keys.queue(QUEUE), *[name] * found.listed)
        server.sadd(keys.queues, keys.queue(QUEUE))
        honest.append(submit(client, model="gpt-image-2", priority="low"))
        eventually(lambda: server.llen(keys.queue(QUEUE)) == 0, SECONDS_MAX)
        assert [ended(client, job)["status"] for job in honest] == ["succeeded", "succeeded"]
    assert not touched.exists()
    assert workers(stack) == before
    refused = server.zcard(keys.registry("failed", QUEUE))
    print(f"{FUZZED} hashes, {refused} refused")  # noqa: T201  # the figures of a long run
    assert refused > FUZZED / 2
