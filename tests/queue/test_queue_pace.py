"""Pace: never above burst plus rate, never below the rate while jobs wait, in images and tokens at once."""

import time
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from queue_world import TTL_SECONDS, World, job, plan, pool

from imagequeue.queue.claims import Claim, Ending

ASKS_MAX = 20_000
LATE_US = 2_000_000.0  # as in claim.lua
ROUNDING_US = 3.0  # the level is kept in whole microseconds


@dataclass(kw_only=True)
class Bucket:
    """The same rule in Python: one dimension's theoretical arrival time."""

    unit_us: float
    burst_us: float
    tat: float = 0.0
    late_us: float = 0.0
    made_up_us: float = 0.0

    def wait_us(self, weight: float, now: float) -> float:
        """Return how long `weight` units have to wait; at most 0 = not at all."""
        if not self.unit_us:
            return 0.0
        return max(self.tat, now - self.late_us) - now - max(self.burst_us - weight * self.unit_us, 0.0)

    def charge(self, weight: float, now: float) -> None:
        """Count units as started; notes how much lateness was made up for."""
        begun = max(self.tat, now - self.late_us)
        self.made_up_us += max(now - begun, 0.0)
        self.tat = begun + weight * self.unit_us


def start(world: World, weights: list[tuple[int, int]], buckets: tuple[Bucket, Bucket]) -> list[tuple[int, int, int]]:
    """Enqueue jobs of (images, tokens), claim until all have started; returns (time, images, tokens) of each start.

    Every answer is held against the rule: given when it may start, not given when it may not. Once jobs were left
    waiting for the pace alone, starts that were due and not asked for are made up for.
    """
    images, tokens = buckets
    served = pool(image_us=images.unit_us, token_us=tokens.unit_us, burst_us=images.burst_us)
    for n, amount in weights:
        name = world.add(job(), tokens=amount)[0].id
        world.raw.hset(world.keys.job(name), "iq_n", n)
    worker = world.worker(plan(served))
    starts: list[tuple[int, int, int]] = []
    for _ in range(ASKS_MAX):
        answer = worker.ask()
        n, amount = weights[len(starts)]
        wait_us = max(images.wait_us(n, answer.now_us), tokens.wait_us(amount, answer.now_us))
        if abs(wait_us) > ROUNDING_US:
            assert bool(answer.claims) == (wait_us <= 0)
        if answer.claims:
            images.charge(n, answer.now_us)
            tokens.charge(amount, answer.now_us)
            starts.append((answer.now_us, n, amount))
        elif answer.wait_us is not None:
            images.late_us = tokens.late_us = LATE_US
            assert abs(answer.wait_us - wait_us) <= ROUNDING_US
        if len(starts) == len(weights):
            return starts
    raise AssertionError("the jobs did not start")


UNITS = st.integers(min_value=200, max_value=4000)
WEIGHTS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8)), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(image_us=UNITS, token_us=st.one_of(st.just(0), UNITS), burst_us=st.integers(0, 20_000), weights=WEIGHTS)
def test_no_window_holds_more_than_burst_plus_rate(
    world: World, image_us: int, token_us: int, burst_us: int, weights: list[tuple[int, int]]
) -> None:
    world.raw.delete(f"{world.keys.own}:pool:main|dall-e-3")
    buckets = Bucket(unit_us=image_us, burst_us=burst_us), Bucket(unit_us=token_us, burst_us=burst_us)
    starts = start(world, weights, buckets)
    for bucket, column in zip(buckets, (1, 2), strict=True):
        unit_us = bucket.unit_us
        for first in range(len(starts)):
            for last in range(first, len(starts)):
                used = unit_us * sum(each[column] for each in starts[first : last + 1])
                room = max(burst_us, unit_us * starts[last][column])
                elapsed = starts[last][0] - starts[first][0]
                assert used <= elapsed + room + bucket.made_up_us + ROUNDING_US * len(starts)


def test_waiting_jobs_start_at_pace_not_slower(world: World) -> None:
    """300 images a second for half a second, the burst used up before, slept as the answers say: within 3 %."""
    image_us = 1_000_000 / 300
    world.fill(500)
    worker = world.worker(plan(pool(image_us=image_us, burst_us=100_000)))
    used_up = worker.ask(100)
    assert len(used_up.claims) == 30
    begun = ended = used_up.now_us
    count, lost = 0, 0
    while ended - begun < 500_000:
        answer = worker.ask(40)
        lost += max(answer.now_us - ended - 100_000 - LATE_US, 0)
        count, ended = count + len(answer.claims), answer.now_us
        time.sleep((answer.wait_us or 0) / 1_000_000)
    allowed = (ended - begun - lost) / image_us
    assert allowed * 0.97 <= count <= allowed + 2


def test_starts_that_were_due_while_jobs_waited_are_made_up_for_and_no_more(world: World) -> None:
    """A worker that asks late, with jobs waiting, gets what it missed; after a time without jobs only its burst."""
    image_us = 10_000
    served = plan(pool(image_us=image_us, burst_us=20_000))
    world.fill(400)
    worker = world.worker(served)
    first = worker.ask(100)
    assert len(first.claims) == 2  # the burst; then the pace says wait
    pool_key = f"{world.keys.own}:pool:main|dall-e-3"
    since_us = worker.ask(0).now_us - 300_000
    world.raw.hset(pool_key, "image_tat", since_us)
    late = worker.ask(100)
    due = (late.now_us - since_us) // image_us + 2  # 0.3 s, what passed between the two questions, and the burst
    assert due >= 32
    assert due - 1 <= len(late.claims) <= due + 1
    world.raw.hset(pool_key, "image_tat", worker.ask(0).now_us - 9_000_000)
    assert 202 <= len(worker.ask(400).claims) <= 207  # never more than two seconds of it
    world.raw.hset(pool_key, "image_tat", 0)
    world.raw.hdel(pool_key, "limited")
    assert len(worker.ask(100).claims) == 2


def test_an_empty_queue_saves_nothing_up(world: World) -> None:
    served = plan(pool(image_us=10_000, burst_us=20_000))
    world.fill(3)
    worker = world.worker(served)
    assert len(worker.ask(100).claims) == 2
    pool_key = f"{world.keys.own}:pool:main|dall-e-3"
    assert world.raw.hget(pool_key, "limited") == b"1"
    world.raw.hset(pool_key, "image_tat", 0)
    assert len(worker.ask(100).claims) == 1
    assert world.raw.hget(pool_key, "limited") is None


def test_a_new_worker_brings_no_new_burst(world: World) -> None:
    """The level is the server's: what is used up stays used up, whoever asks."""
    world.fill(40)
    slow = plan(pool(image_us=1_000_000, burst_us=5_000_000))
    assert len(world.worker(slow).claim(40)) == 5
    assert [len(world.worker(slow).claim(40)) for _ in range(5)] == [0] * 5


def test_a_permit_is_not_spent_on_an_empty_queue(world: World) -> None:
    worker = world.worker(plan(pool(image_us=60_000_000, burst_us=0)))
    for _ in range(10):
        answer = worker.ask(10)
        assert (answer.claims, answer.wait_us) == ((), None)
    world.put()
    assert len(worker.claim()) == 1


def test_a_large_job_is_not_passed_by_smaller_ones(world: World) -> None:
    """The first in line waits for its room; those behind it do not take it."""
    first, second = world.fill(2)
    world.raw.hset(world.keys.job(first), "iq_n", 5)
    buckets = plan(pool(image_us=20_000, burst_us=100_000))
    worker = world.worker(buckets)
    world.raw.hset(f"{world.keys.own}:pool:main|dall-e-3", "image_tat", worker.ask(0).now_us + 60_000)
    answer = worker.ask(2)
    assert answer.claims == ()
    assert answer.wait_us is not None
    given = [claim.id for claim in worker.claim(2)]
    while not given:
        given = [claim.id for claim in worker.claim(2)]
    assert given[0] == first
    assert world.status(second) == ("started" if second in given else "queued")


def test_tokens_an_answer_did_not_use_come_back(world: World) -> None:
    """The estimate is charged at the start, corrected by what the answer says it used."""
    served = plan(pool(token_us=1000, burst_us=10_000))
    for _ in range(2):
        world.put(tokens=10_000)
    worker = world.worker(served)
    (claim,) = worker.claim()
    assert worker.ask().wait_us is not None
    back = Ending(status="finished", ttl_seconds=TTL_SECONDS, pool="main|dall-e-3", tokens_us=-10_000_000)
    worker.settle(claim, back)
    assert len(worker.claim()) == 1


def test_tokens_an_answer_did_not_use_come_back_to_what_may_be_sent(world: World) -> None:
    """Both levels are charged by the estimate: else one would hold back what the other has let go."""
    for _ in range(2):
        world.put(tokens=10_000)
    worker = world.worker(plan(pool()))
    first, second = worker.claim(2)

    def may_send(claim: Claim) -> bool | None:
        wanted = [(claim, 1, 10_000)]
        _, (answer,) = world.do(
            worker.claims.permit("main|dall-e-3", wanted, image_us=0, token_us=1000, burst_us=10_000)
        )
        return answer

    assert may_send(first) is True
    assert may_send(second) is None
    back = Ending(status="finished", ttl_seconds=TTL_SECONDS, pool="main|dall-e-3", sent_tokens_us=-10_000_000)
    worker.settle(first, back)
    assert may_send(second) is True
