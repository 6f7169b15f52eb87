"""Pools that must not be used now: paused, probed, suspended, slowed down, resumed; a suspended queue; switching."""

import pytest
from queue_world import Worker, World, plan, pool

from imagequeue.queue import budget, pools
from imagequeue.queue.pools import PoolState
from imagequeue.queue.reported import read_reported

NAME = "main|dall-e-3"


def state(world: World) -> PoolState:
    """Return the pool's state as everybody sees it."""
    return world.do(pools.states(world.scripts, (NAME,)))[NAME]


def refuse(world: World, wait_us: int) -> None:
    """Let the provider refuse a call."""
    world.do(pools.refuse(world.scripts, NAME, wait_us=wait_us, reason="rate_limit_exceeded"))


def test_a_refused_pool_gives_nothing_until_the_longer_deadline(world: World) -> None:
    world.fill(3)
    worker = world.worker()
    refuse(world, 30_000_000)
    refuse(world, 1_000)
    answer = worker.ask(3)
    assert answer.claims == ()
    assert answer.wait_us is not None
    assert 25_000_000 < answer.wait_us <= 30_000_000
    assert state(world).pause_reason == "rate_limit_exceeded"


def test_after_a_pause_one_job_goes_first(world: World) -> None:
    """The others follow when it was sent and is not refused within a second."""
    ids = world.fill(5)
    worker = world.worker()
    refuse(world, 1)
    (probe,) = worker.claim(5)
    assert probe.id == ids[0]
    waiting = worker.ask(5)
    assert waiting.claims == ()
    assert waiting.wait_us is not None
    assert 2_000_000 < waiting.wait_us <= 3_000_000
    assert world.do(worker.claims.permit(NAME, [(probe, 1, 0)], image_us=0, token_us=0, burst_us=0)) == (0, (True,))
    waiting = worker.ask(5)
    assert waiting.claims == ()
    assert waiting.wait_us is not None
    assert 0 < waiting.wait_us <= 1_000_000
    world.raw.hset(f"{world.keys.own}:pool:{NAME}", "probe_until", 1)
    assert [claim.id for claim in worker.claim(5)] == ids[1:]


def test_a_refused_probe_prolongs_the_pause_and_leaves_the_pace(world: World) -> None:
    world.fill(5)
    worker = world.worker()
    refuse(world, 1)
    worker.claim(5)
    refuse(world, 20_000_000)
    assert worker.claim(5) == ()
    assert state(world).factor == 1


def test_refusals_at_pace_lower_the_pace_once_is_noise(world: World) -> None:
    world.fill(200)
    worker = world.worker()
    worker.claim(30)
    refuse(world, 1)
    assert state(world).factor == 1
    worker.claim(1)
    world.raw.hset(f"{world.keys.own}:pool:{NAME}", "probe_until", 1)
    worker.claim(30)
    refuse(world, 1)
    assert 0.79 < state(world).factor < 0.82


def test_a_lowered_pace_really_is_slower(world: World) -> None:
    world.fill(10)
    worker = world.worker(plan(pool(image_us=1_000_000, burst_us=2_000_000)))
    key = f"{world.keys.own}:pool:{NAME}"
    now = worker.ask(0).now_us
    world.raw.hset(key, mapping={"factor": "0.5", "factor_at": now})
    assert len(worker.claim(10)) == 1
    assert (worker.ask().wait_us or 0) > 1_500_000


@pytest.mark.parametrize("for_us", [0, 50_000_000])
def test_a_suspended_pool_gives_nothing_and_says_why(world: World, for_us: int) -> None:
    world.put()
    world.do(pools.suspend(world.scripts, NAME, reason="insufficient_quota: pay", for_us=for_us))
    answer = world.worker().ask(5)
    assert answer.claims == ()
    assert answer.wait_us is None
    assert state(world).suspended == "insufficient_quota: pay"


@pytest.mark.parametrize(
    ("reason", "answer"), [("insufficient_quota: pay", (0, (False,))), (budget.PREFIX + "a cap", (0, (True,)))]
)
def test_a_claimed_call_is_kept_back_by_a_suspension_unless_that_is_for_want_of_money(
    world: World, reason: str, answer: tuple[int, tuple[bool]]
) -> None:
    """A pool is suspended for want of money because the claimed calls hold it: they are sent."""
    world.put()
    worker = world.worker()
    (claim,) = worker.claim()
    world.do(pools.suspend(world.scripts, NAME, reason=reason, for_us=50_000_000))
    asked = worker.claims.permit(NAME, [(claim, 1, 0)], image_us=0, token_us=0, burst_us=0)
    assert world.do(asked) == answer


def test_a_suspension_for_a_time_ends_by_itself(world: World) -> None:
    world.put()
    world.do(pools.suspend(world.scripts, NAME, reason="budget", for_us=1))
    assert state(world).suspended == ""
    assert len(world.worker().claim()) == 1


def test_resuming_ends_suspension_pause_and_lowered_pace(world: World) -> None:
    world.fill(3)
    refuse(world, 60_000_000)
    world.do(pools.suspend(world.scripts, NAME, reason="invalid_api_key"))
    world.raw.hset(f"{world.keys.own}:pool:{NAME}", "factor", "0.1")
    world.do(pools.resume(world.scripts, NAME))
    assert state(world).factor == 1
    assert len(world.worker().claim(3)) == 3


def test_another_pool_goes_on_while_one_is_suspended(world: World) -> None:
    world.fill(4)
    world.do(pools.suspend(world.scripts, NAME, reason="invalid_api_key"))
    worker = world.worker(plan(pool(), pool("other|dall-e-3")))
    assert {claim.pool for claim in worker.claim(4)} == {"other|dall-e-3"}


def test_a_suspended_pools_jobs_can_still_be_cancelled_and_expire(world: World) -> None:
    name = world.put()
    world.raw.hset(world.keys.job(name), "iq_deadline", 1)
    world.do(pools.suspend(world.scripts, NAME, reason="invalid_api_key"))
    assert [claim.kind for claim in world.worker().claim()] == ["expired"]


def test_rqs_own_suspension_stops_claims(world: World) -> None:
    world.put()
    worker = world.worker()
    world.raw.set(world.keys.suspended, 1)
    answer = worker.ask()
    assert (answer.suspended, answer.claims) == (True, ())
    world.raw.delete(world.keys.suspended)
    assert len(worker.claim()) == 1


def test_a_refused_job_switches_to_a_pool_that_has_room_now(world: World) -> None:
    """Charged like any start, and only for the claim's holder; it stays the same claim."""
    world.fill(3)
    worker = world.worker()
    first, second, third = worker.claim(3)
    other = pool("other|gpt-image", image_us=60_000_000, burst_us=0)
    assert world.do(worker.claims.switch(first, other, images=1, tokens=0))
    assert not world.do(worker.claims.switch(second, other, images=1, tokens=0))
    assert world.field(first.id, "iq_pool") == "other|gpt-image"
    assert worker.settle(first)
    free = pool("free|gpt-image")
    worker.settle(third)
    assert not world.do(worker.claims.switch(third, free, images=1, tokens=0))
    world.do(pools.suspend(world.scripts, "free|gpt-image", reason="invalid_api_key"))
    assert not world.do(worker.claims.switch(second, free, images=1, tokens=0))
    world.check()


def strike(world: World, worker: Worker) -> None:
    """Let the pool start three jobs after its pause, and the provider refuse one of them."""
    worker.claim(1)
    world.raw.hset(f"{world.keys.own}:pool:{NAME}", "probe_until", 1)
    worker.claim(2)
    refuse(world, 1)


def test_refusals_at_pace_that_go_on_teach_a_lower_ceiling(world: World) -> None:
    """The first is noise, the second lowers the pace for seconds, each further one the ceiling for many minutes."""
    world.fill(100)
    worker = world.worker()
    shares = []
    for _ in range(5):
        strike(world, worker)
        lowered = world.do(read_reported(world.scripts)).lowered
        shares.append(lowered[NAME].share if lowered else 1.0)
    assert shares[:2] == [1.0, 1.0]
    assert shares[2:] == pytest.approx([0.8, 0.64, 0.51], abs=0.02)
    assert "rate_limit_exceeded" in lowered[NAME].reason


def test_a_learned_ceiling_has_a_floor_and_resuming_forgets_it(world: World) -> None:
    world.fill(200)
    worker = world.worker()
    for _ in range(30):
        strike(world, worker)
    assert world.do(read_reported(world.scripts)).lowered[NAME].share == 0.01
    world.do(pools.resume(world.scripts, NAME))
    assert world.do(read_reported(world.scripts)).lowered == {}
    strike(world, worker)
    assert state(world).factor == 1


def test_a_storm_teaches_nothing(world: World) -> None:
    """Only probes are refused while it lasts."""
    world.fill(50)
    worker = world.worker()
    worker.claim(20)
    for _ in range(20):
        refuse(world, 1)
        worker.claim(5)
    assert state(world).factor == 1
    assert world.do(read_reported(world.scripts)).lowered == {}
