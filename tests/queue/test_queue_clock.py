"""The server's clock is set back by an hour: paces, pauses and waits last as long as they would have, and no longer."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from queue_world import World, plan, pool

from imagequeue.queue import pools
from imagequeue.queue.status import PoolStatus

HOUR_US = 3_600_000_000
NAME = "main|dall-e-3"
PACE = plan(pool(image_us=2_000_000, burst_us=2_000_000))


def set_clock_back(world: World) -> None:
    """Let everything that was noted so far lie an hour ahead, as it does once the server's clock was set back."""
    key = f"{world.keys.own}:heard"
    world.raw.hset(key, "at", int(world.raw.hget(key, "at")) + HOUR_US)
    state = f"{world.keys.own}:pool:{NAME}"
    for name, value in world.raw.hgetall(state).items():
        if name.decode().endswith(("_tat", "_until", "_at")) and float(value) > 0:
            world.raw.hset(state, name, int(float(value)) + HOUR_US)
    workers = f"{world.keys.own}:workers"
    for member, score in world.raw.zrange(workers, 0, -1, withscores=True):
        world.raw.zadd(workers, {member: score + HOUR_US})


def wait_us(world: World) -> int:
    """Return how long the pool's next job has to wait, with a worker that has just said that it lives."""
    worker = world.worker(PACE)
    worker.renew()
    answer = worker.ask(1, PACE)
    return 0 if answer.claims else int(answer.wait_us or 0)


def test_a_pool_that_was_at_its_pace_goes_on_at_its_pace(world: World) -> None:
    """It waits for what it has charged, not for the hour, and gives no more than its burst."""
    world.fill(9)
    worker = world.worker(PACE)
    assert len(worker.claim(9, PACE)) == 1
    worker.renew()
    set_clock_back(world)
    worker.renew()
    answer = worker.ask(9, PACE)
    assert answer.claims == ()
    assert answer.wait_us is not None
    assert 1_000_000 < answer.wait_us <= 2_100_000


def test_without_a_sign_of_life_it_would_wait_for_the_hour(world: World) -> None:
    """The check above can fail."""
    world.fill(2)
    worker = world.worker(PACE)
    worker.claim(1, PACE)
    worker.renew()
    set_clock_back(world)
    answer = worker.ask(1, PACE)
    assert (answer.wait_us or 0) > HOUR_US / 2


def test_a_pause_ends_when_it_would_have(world: World) -> None:
    world.fill(1)
    worker = world.worker()
    worker.renew()
    world.do(pools.refuse(world.scripts, NAME, wait_us=30_000_000, reason="slow_down"))
    set_clock_back(world)
    assert 29_000_000 < wait_us(world) <= 30_500_000


def test_a_lowered_pace_is_never_less_than_it_was_lowered_to(world: World) -> None:
    """A share that falls with the clock would be below zero after a minute, and a pace below zero is no pace at all."""
    world.fill(9)
    worker = world.worker(PACE)
    (claim,) = worker.claim(1, PACE)
    world.raw.hset(f"{world.keys.own}:pool:{NAME}", mapping={"factor": "0.5", "factor_at": _now_us() + HOUR_US})
    answer = worker.ask(9, PACE)
    assert answer.claims == ()
    assert world.do(pools.states(world.scripts, (NAME,)))[NAME].factor == pytest.approx(0.5)
    _, answers = world.do(
        worker.claims.permit(NAME, [(claim, 1, 0)] * 3, image_us=1_000_000, token_us=0, burst_us=1_000_000)
    )
    assert answers.count(True) == 1


def test_a_job_between_two_attempts_runs_when_it_would_have_one_with_a_named_time_at_that_time(
    world: World,
) -> None:
    named = world.put(not_before=datetime.now(UTC) + timedelta(minutes=90))
    called = world.put()
    worker = world.worker()
    (claim,) = worker.claim()
    assert claim.id == called
    worker.requeue(claim, delay_us=20_000_000)
    worker.renew()
    waits = world.keys.registry("scheduled", "dall-e-3.default")
    (before,) = [score for name, score in world.raw.zrange(waits, 0, -1, withscores=True) if name.decode() == called]
    world.raw.zincrby(waits, HOUR_US / 1e6, called)
    named_at = world.raw.zscore(waits, named)
    set_clock_back(world)
    worker.renew()
    assert world.raw.zscore(waits, called) == pytest.approx(before, abs=2)
    assert world.raw.zscore(waits, named) == named_at


def test_a_status_of_a_pool_tells_the_latest_trouble_of_the_last_minute(world: World) -> None:
    world.do(pools.trouble(world.scripts, NAME, reason="server_error: sorry"))
    assert world.do(pools.states(world.scripts, (NAME,)))[NAME].trouble == "server_error: sorry"
    world.raw.hincrby(f"{world.keys.own}:pool:{NAME}", "trouble_at", -pools.TROUBLE_US_MAX)
    assert world.do(pools.states(world.scripts, (NAME,)))[NAME].trouble == ""
    assert PoolStatus.__dataclass_fields__["trouble"].default == ""


def _now_us() -> int:
    return int(time.time() * 1_000_000)
