"""A key's rate and budget are counted once, in Redis and on its clock, however many doors it asks."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
import redis
from door_stack import Stack, make_key, running_door
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from imagequeue.config.embedded import ensure_server
from imagequeue.config.keys import Keys
from imagequeue.producer.door.access import Caller
from imagequeue.producer.door.keys import KeyRecord
from imagequeue.producer.door.problems import Problem
from imagequeue.producer.door.rates import Rates
from imagequeue.queue.scripts import Scripts

pytestmark = pytest.mark.xdist_group("door")

LATER = "2999-01-01T00:00:00Z"
MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def doors(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield the addresses of two doors with the same keys."""
    with running_door(stack.environ) as other:
        yield stack.url, other


@pytest.fixture
def counting(stack: Stack) -> Iterator["Counting"]:
    """Yield one key's rate on a real server."""
    with Counting(ensure_server(stack.data_dir)) as opened:
        yield opened


class Counting:
    """Asks as one key; time passes as a test says, since what Redis keeps is a moment."""

    def __init__(self, url: str) -> None:
        self.keys = Keys.under(f"t{uuid4().hex}")
        self._runner = asyncio.Runner()
        self._client = Redis.from_url(url)
        self.raw = redis.Redis.from_url(url)
        self._rates = self._runner.run(self._made())

    async def _made(self) -> Rates:
        return Rates(Scripts(self._client, self.keys))

    def __enter__(self) -> "Counting":
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()
        self.raw.close()

    def caller(self, per_minute: int, key_id: str = "a" * 12) -> Caller:
        """Return whoever has a key of that rate."""
        made = {"id": key_id, "name": "a", "sha256": "0" * 64, "scopes": ("read",), "created_at": datetime.now(UTC)}
        return Caller(key=KeyRecord.model_validate(made | {"requests_per_minute": per_minute}))

    def wait_seconds(self, caller: Caller, requests: int = 1) -> float:
        """Ask once: 0 when let in, else what the answer says."""
        try:
            self._runner.run(self._ask(caller, requests))
        except Problem as problem:
            return float(problem.headers["Retry-After"])
        return 0.0

    async def _ask(self, caller: Caller, requests: int) -> None:
        await self._rates.take(caller)
        await self._rates.charge(caller, requests)

    def at_once(self, caller: Caller, many: int) -> int:
        """Ask many times at once; how many were let in."""

        async def all_of_them() -> int:
            asks = [self._ask(caller, 1) for _ in range(many)]
            return [isinstance(one, Problem) for one in await asyncio.gather(*asks, return_exceptions=True)].count(
                False
            )

        return self._runner.run(all_of_them())

    def owed_us(self, caller: Caller) -> int:
        """How far from full the bucket is, in microseconds of its rate."""
        seconds, micros = self.raw.time()  # type: ignore[misc]  # redis-py types answers of both its clients as one
        kept = self.raw.get(self._name(caller))
        return 0 if kept is None else int(kept) - (int(seconds) * 1_000_000 + int(micros))  # type: ignore[arg-type]

    def pass_time(self, caller: Caller, seconds: float) -> None:
        """Let a key's bucket fill for so long."""
        kept = self.raw.get(self._name(caller))
        if kept is not None:
            self.raw.set(self._name(caller), int(kept) - round(seconds * 1_000_000), keepttl=True)  # type: ignore[arg-type]

    def _name(self, caller: Caller) -> str:
        assert caller.key is not None
        return f"{self.keys.own}:key-rate:{caller.key.id}"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 16), st.lists(st.tuples(st.floats(0, 30), st.integers(1, 3)), max_size=40))
def test_a_rate_is_kept_over_any_time(counting: Counting, per_minute: int, steps: list[tuple[float, int]]) -> None:
    """However requests come, no more get in than a full bucket, what flowed in since, and the last one's debt."""
    caller, let_in, passed, started = counting.caller(per_minute, uuid4().hex[:12]), 0, 0.0, time.monotonic()
    for pause, requests in steps:
        counting.pass_time(caller, pause)
        passed += pause
        if counting.wait_seconds(caller, requests) == 0:
            let_in += requests
    passed += time.monotonic() - started
    assert let_in <= per_minute + passed * per_minute / 60 + 3 + 1e-3


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 60), st.integers(1, 100))
def test_who_waits_as_long_as_told_gets_in_and_not_much_earlier(counting: Counting, per_minute: int, jobs: int) -> None:
    caller = counting.caller(per_minute, uuid4().hex[:12])
    assert counting.wait_seconds(caller, per_minute + jobs) == 0
    wait = counting.wait_seconds(caller)
    assert (jobs + 1) * 60 / per_minute - 1 < wait < (jobs + 1) * 60 / per_minute + 1
    counting.pass_time(caller, wait * 0.5)
    assert counting.wait_seconds(caller) > 0
    counting.pass_time(caller, wait * 0.5)
    assert counting.wait_seconds(caller) == 0


def test_many_at_once_get_exactly_a_bucket_and_a_full_bucket_is_not_kept(counting: Counting) -> None:
    caller = counting.caller(10)
    assert counting.at_once(caller, 200) == 10
    assert 0 < counting.owed_us(caller) <= MINUTE_US
    assert 0 < counting.raw.pttl(counting._name(caller)) <= 60_001  # type: ignore[operator]  # as above
    assert counting.at_once(counting.caller(50, "b" * 12), 10) == 10


def test_two_doors_count_one_rate(stack: Stack, doors: tuple[str, str]) -> None:
    token = make_key(stack.data_dir, "both", scopes=("read",), requests_per_minute=20)
    headers = {"Authorization": f"Bearer {token}"}
    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        asks = [threads.submit(httpx.get, f"{doors[n % 2]}/v1/models", headers=headers) for n in range(60)]
        answers = [ask.result() for ask in asks]
    flowed_in = (time.monotonic() - began) * 20 / 60
    let_in = [answer.status_code for answer in answers].count(200)
    assert 20 <= let_in <= 21 + flowed_in
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {429}
    assert all(1 <= int(answer.headers["retry-after"]) <= 4 for answer in refused)


def test_jobs_of_a_list_at_one_door_are_a_debt_at_the_other(stack: Stack, doors: tuple[str, str]) -> None:
    token = make_key(stack.data_dir, "lists", scopes=("submit",), requests_per_minute=10)
    headers = {"Authorization": f"Bearer {token}"}
    jobs = [{"prompt": "x", "model": "dall-e-3", "not_before": LATER}] * 20
    assert httpx.post(f"{doors[0]}/v1/jobs", json=jobs, headers=headers).status_code == 202
    late = httpx.post(f"{doors[1]}/v1/jobs", json=jobs[0], headers=headers)
    assert late.status_code == 429
    assert 60 <= int(late.headers["retry-after"]) <= 66


def test_two_doors_take_from_one_budget_and_never_more_than_it_has(stack: Stack, doors: tuple[str, str]) -> None:
    """0.10 dollars are two jobs at 0.04; of 20 requests at both doors at once exactly two are accepted."""
    token = make_key(stack.data_dir, "purse", scopes=("submit",), monthly_budget_nano_usd=100_000_000)
    headers, job = {"Authorization": f"Bearer {token}"}, {"prompt": "x", "model": "dall-e-3", "not_before": LATER}
    with ThreadPoolExecutor(8) as threads:
        asks = [threads.submit(httpx.post, f"{doors[n % 2]}/v1/jobs", json=job, headers=headers) for n in range(20)]
        answers = [ask.result() for ask in asks]
    assert sorted(answer.status_code for answer in answers) == [202] * 2 + [429] * 18
    said = {answer.json()["error"]["message"] for answer in answers if answer.status_code == 429}
    assert said == {"this key's budget for the month has 0.020000000 USD left; up to 0.040000000 asked"}
