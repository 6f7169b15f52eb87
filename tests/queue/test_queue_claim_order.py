"""Who is served next: priority, age, tenants by weight, shares of lower priorities, pools by weight."""

import os
from collections import Counter

import pytest
from queue_world import DEFAULT, LOW, QUEUES, World, plan, pool

BACKLOG_JOBS = int(os.environ.get("BACKLOG_JOBS", "500"))
FILL_JOBS = 500
ROUNDS_MAX = 2


def order(world: World, count: int, **how: object) -> list[str]:
    """Return the ids that `count` claims of one job each give, one after the other."""
    worker = world.worker(plan(**how))
    return [claim.id for _ in range(count) for claim in worker.claim()]


def test_priorities_are_strict_when_lower_ones_have_no_share(world: World) -> None:
    low, default, high = (world.fill(5, priority=name) for name in ("low", "default", "high"))
    assert order(world, 15, share_default=0, share_low=0) == high + default + low
    world.check()


@pytest.mark.parametrize(("default", "low"), [(0.05, 0.01), (0.3, 0.1), (0.0, 0.05), (1 / 3, 0.0)])
def test_lower_priorities_get_exactly_their_share_while_higher_ones_wait(
    world: World, default: float, low: float
) -> None:
    """Of every number of starts so far: the share, rounded down, and one more at most; 0 is strict."""
    for name in ("low", "default", "high"):
        world.fill(260, priority=name)
    worker = world.worker(plan(share_default=default, share_low=low))
    served: Counter[str] = Counter()
    for starts in range(1, 201):
        served[worker.claim()[0].queue] += 1
        for queue, share in ((DEFAULT, default), (LOW, low)):
            assert int(starts * share - 1e-6) <= served[queue] <= starts * share + 1e-6


def test_shares_are_counted_in_images(world: World) -> None:
    """Jobs of four images of default beside single ones of high: 5 % of the images."""
    world.fill(600, priority="high")
    for name in world.fill(30):
        world.raw.hset(world.keys.job(name), "iq_n", 4)
    worker = world.worker()
    served: Counter[str] = Counter()
    for _ in range(340):
        claim = worker.claim()[0]
        served[claim.queue] += 4 if claim.queue == DEFAULT else 1
    assert abs(served[DEFAULT] / served.total() - 0.05) < 0.01


def test_a_share_is_not_saved_up_while_nobody_waits(world: World) -> None:
    """What a lower priority did not use before its jobs came does not let them go first in a row."""
    world.fill(300, priority="high")
    worker = world.worker()
    worker.claim(60)
    worker.claim(60)
    world.fill(50)
    served = [worker.claim()[0].queue for _ in range(40)]
    assert served.count(DEFAULT) <= 3


def test_within_a_priority_the_oldest_goes_first_also_after_coming_back(world: World) -> None:
    ids = world.fill(6)
    worker = world.worker()
    first, second, third = worker.claim(3)
    worker.requeue(third)
    worker.requeue(first)
    worker.requeue(second)
    assert [claim.id for claim in worker.claim(6)] == ids
    world.check()


def test_a_delayed_job_comes_back_at_its_age(world: World) -> None:
    ids = world.fill(3)
    worker = world.worker()
    (claim,) = worker.claim()
    worker.requeue(claim, delay_us=50_000_000, why={"reason": "backoff", "until": None, "detail": ""})
    assert world.status(claim.id) == "scheduled"
    world.due()
    world.promote()
    assert [each.id for each in worker.claim(3)] == ids


def test_tenants_take_turns_whatever_their_backlog(world: World) -> None:
    world.fill(200, tenant="large")
    small = world.fill(10, tenant="small")
    got = order(world, 21)
    assert set(small) <= set(got)


@pytest.mark.parametrize("images", [1, 4], ids=["single", "fours"])
def test_another_tenants_backlog_delays_a_single_job_by_two_rounds_at_most(world: World, images: int) -> None:
    """A round gives each tenant as many images as the largest job has; BACKLOG_JOBS=100000 for the full number."""
    for _ in range(BACKLOG_JOBS // FILL_JOBS):
        world.fill(FILL_JOBS, tenant="large")
    worker = world.worker()
    worker.claim(7)
    for name in [name for line in world.lines().values() for name in line][: ROUNDS_MAX * 10]:
        world.raw.hset(world.keys.job(name), "iq_n", images)
    single = world.put(tenant="small")
    started = [claim.id for _ in range(ROUNDS_MAX) for claim in worker.claim()]
    assert single in started


@pytest.mark.parametrize(("weight", "expected"), [(1.0, 20), (3.0, 30), (0.25, 8)])
def test_tenants_share_by_weight(world: World, weight: float, expected: int) -> None:
    world.fill(100, tenant="heavy")
    world.fill(100, tenant="plain")
    worker = world.worker(plan(weights={"heavy": weight}))
    served = Counter(world.field(worker.claim()[0].id, "iq_tenant") for _ in range(40))
    assert abs(served["heavy"] - expected) <= 1


def test_a_tenants_turn_is_paid_by_images_not_by_jobs(world: World) -> None:
    """A job of one image and one of four, of a model that makes up to ten in a call."""
    world.fill(60, tenant="single")
    ids = world.fill(60, tenant="fours")
    for name in ids:
        world.raw.hset(world.keys.job(name), "iq_n", 4)
    worker = world.worker()
    served = Counter(world.field(worker.claim()[0].id, "iq_tenant") for _ in range(50))
    assert abs(served["single"] - 40) <= 2


def test_an_idle_tenant_neither_loses_nor_saves_turns(world: World) -> None:
    world.fill(50, tenant="steady")
    worker = world.worker()
    worker.claim(30)
    world.fill(20, tenant="late")
    served = Counter(world.field(worker.claim()[0].id, "iq_tenant") for _ in range(20))
    assert abs(served["late"] - 10) <= 1


def test_leaving_the_queue_does_not_forgive_a_turn(world: World) -> None:
    """A tenant that enqueues one job at a time gets no more than one that has many waiting."""
    world.fill(60, tenant="many")
    worker = world.worker()
    served: Counter[str | None] = Counter()
    for _ in range(40):
        if not any(line for tenant, line in world.lines().items() if tenant == "drip"):
            world.put(tenant="drip")
        served[world.field(worker.claim()[0].id, "iq_tenant")] += 1
    assert abs(served["drip"] - 20) <= 1


def test_two_pools_serve_one_queue_by_weight(world: World) -> None:
    world.fill(90)
    pools = pool("one|dall-e-3", weight=2), pool("two|dall-e-3")
    worker = world.worker(plan(*pools))
    served = Counter(worker.claim()[0].pool for _ in range(60))
    assert abs(served["one|dall-e-3"] - 40) <= 1


def test_models_of_one_pool_take_turns(world: World) -> None:
    shared = pool(high=(), low=(), default=(DEFAULT, LOW))
    for name in ("default", "low"):
        world.fill(30, priority=name)
    worker = world.worker(plan(shared))
    assert Counter(worker.claim()[0].queue for _ in range(20)) == {DEFAULT: 10, LOW: 10}


def test_a_held_tenant_keeps_its_places_and_the_others_go_on(world: World) -> None:
    held = world.fill(3, tenant="over")
    world.script("tenant", "hold", "over", "{}")
    held += world.fill(2, tenant="over")
    free = world.fill(4, tenant="other")
    worker = world.worker()
    assert {claim.id for claim in worker.claim(20)} == set(free)
    assert set(world.listed()) == set(held)
    world.check()
    world.script("tenant", "release", "over", "", *QUEUES)
    assert [claim.id for claim in worker.claim(20)] == held
    world.check()


def test_what_must_not_run_is_named_and_costs_no_pace(world: World) -> None:
    """A deadline that has passed, a queue that no pool serves, a job in whose hands ten workers died."""
    expired, poison, orphan = world.put(), world.put(priority="high"), world.put(priority="low")
    world.raw.hset(world.keys.job(expired), "iq_deadline", 1)
    world.raw.hset(world.keys.job(poison), "iq_crashes", 10)
    served = pool(low=(), image_us=60_000_000, burst_us=0)
    worker = world.worker(plan(served, unserved=(LOW,)))
    kinds = {claim.id: claim.kind for claim in worker.claim(5)}
    assert kinds == {expired: "expired", poison: "poison", orphan: "unserved"}
    world.put()
    assert [claim.kind for claim in worker.claim()] == ["run"]
