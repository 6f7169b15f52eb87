"""Queued jobs with an overflow go to another model's pool while their own is shut, as far as that has room."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from queue_world import CATALOG, MODEL, QUEUES, TTL_SECONDS, Worker, World, job, plan, pool

from imagequeue.queue import pools
from imagequeue.queue.claims import Claim, ClaimPlan, PoolPlan
from imagequeue.queue.entries import Entry, enqueue
from imagequeue.queue.ways import ways_out

FIRST, OTHER, SPARE = f"main|{MODEL}", "main|gpt-image", "else|gpt-image"
OTHER_MODEL = "gpt-image-2"
OTHER_QUEUES = tuple(f"{OTHER_MODEL}.{priority}" for priority in ("high", "default", "low"))
PROBE_US = 1_000_000  # permit.lua lets the others follow so long after the probe was sent
LOOK_SECONDS, CALL_SECONDS, JOBS = 0.45, 0.05, 5
"""A look lies 0.1 s and more from the end of every pause, probe and trial of the scripts: none is a matter of luck."""
TIMES = (
    "image_tat", "token_tat", "sent_tat", "paused_until", "probe_until", "opened_at", "trial_at", "refused_at",
    "factor_at", "pressed_at", "suspended_until",
)  # fmt: skip


def first(**more: Any) -> PoolPlan:
    """Return the pool of the first choice."""
    return pool(FIRST, models=(MODEL,), **more)


def other(name: str = OTHER, **more: Any) -> PoolPlan:
    """Return a pool of the other model, with its own queues."""
    high, default, low = ((queue,) for queue in OTHER_QUEUES)
    return pool(name, models=(OTHER_MODEL,), high=high, default=default, low=low, **more)


BOTH = plan(first(), other())


def put(world: World, many: int, *, overflow: str = f"{OTHER_MODEL} 0", **words: str) -> list[str]:
    """Enqueue jobs that may overflow."""
    entries = [Entry(id=uuid4().hex, job=job(**words), overflow=overflow) for _ in range(many)]
    world.do(enqueue(world.scripts, entries, result_ttl_seconds=TTL_SECONDS, timeout_seconds=300))
    return [entry.id for entry in entries]


def own(world: World, many: int) -> list[str]:
    """Enqueue jobs of the other model itself."""
    words = [job().model_copy(update={"model": OTHER_MODEL}) for _ in range(many)]
    return [accepted.id for accepted in world.add(*words)]


def refuse(world: World, name: str = FIRST, *, seconds: float = 5) -> None:
    """Let a pool's provider answer 429."""
    world.do(pools.refuse(world.scripts, name, wait_us=int(seconds * 1e6), reason="slow_down"))


def pass_time(world: World, seconds: float) -> None:
    """Let time go by for the pools: all that they noted lies so much further back."""
    for name in (FIRST, OTHER):
        key = f"{world.keys.own}:pool:{name}"
        fields = world.raw.hmget(key, TIMES)
        noted = {field: int(float(at)) for field, at in zip(TIMES, fields, strict=True) if at}
        moved = {field: max(at - int(seconds * 1e6), 1) for field, at in noted.items() if at > 0}
        if moved:
            world.raw.hset(key, mapping=moved)


class PoolTime:
    """The pools' time, that a test sets: however long its commands take, they take no time of the pools."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._began = self._server_seconds()
        self._moved = 0.0

    def set(self, seconds: float) -> None:
        """Let it be so many seconds since the beginning."""
        move = seconds - (self._server_seconds() - self._began) - self._moved
        pass_time(self._world, move)
        self._moved += move

    def _server_seconds(self) -> float:
        seconds, micros = self._world.raw.time()
        return float(seconds + micros / 1e6)


def sent(world: World, claim: Claim) -> None:
    """The probe's call was sent: its pool opens a moment later unless it is refused (permit.lua)."""
    key = f"{world.keys.own}:pool:{claim.pool}"
    if world.raw.hget(key, "probe") == claim.id.encode() and float(world.raw.hget(key, "probe_until") or 0) > 1:
        seconds, micros = world.raw.time()
        world.raw.hset(key, "probe_until", seconds * 1_000_000 + micros + PROBE_US)


def by_pool(claims: tuple[Claim, ...]) -> Counter[str]:
    """Return how many jobs were given for which pool."""
    return Counter(claim.pool for claim in claims)


def test_while_the_first_choice_is_paused_its_queued_jobs_go_to_the_other_model(world: World) -> None:
    """Also those behind jobs that have no overflow; each leaves RQ's list from where it stood, when it is claimed."""
    plain = world.fill(20)
    ids = put(world, 5)
    worker = world.worker(BOTH)
    refuse(world)
    given = worker.claim(10)
    assert [(claim.id, claim.pool, claim.queue) for claim in given] == [(each, OTHER, QUEUES[1]) for each in ids]
    assert sorted(world.listed()) == sorted(plain)
    world.check()


@pytest.mark.parametrize("how", ["suspended", "waits for its probe"])
def test_a_suspended_pool_and_one_whose_probe_is_out_are_shut_as_well(world: World, how: str) -> None:
    ids = put(world, 3)
    worker = world.worker(BOTH)
    if how == "suspended":
        world.do(pools.suspend(world.scripts, FIRST, reason="invalid_api_key"))
        assert [(claim.id, claim.pool) for claim in worker.claim(5)] == [(each, OTHER) for each in ids]
    else:
        refuse(world)
        pass_time(world, 6)
        assert [(claim.id, claim.pool) for claim in worker.claim(5)] == [
            (ids[0], FIRST),
            (ids[1], OTHER),
            (ids[2], OTHER),
        ]


def test_an_open_pool_keeps_its_jobs_also_when_it_is_busy(world: World) -> None:
    put(world, 5)
    worker = world.worker(plan(first(image_us=60_000_000, burst_us=60_000_000), other()))
    assert by_pool(worker.claim(5)) == {FIRST: 1}
    second = world.worker(plan(first(), pool("else|dall-e-3", models=(MODEL,)), other()))
    refuse(world)
    assert by_pool(second.claim(5)) == {"else|dall-e-3": 4}  # another organization serves the first choice


def test_the_other_models_own_jobs_come_first_and_its_pace_holds(world: World) -> None:
    put(world, 10)
    mine = own(world, 3)
    served = plan(first(), other(image_us=1_000_000, burst_us=2_000_000))
    worker = world.worker(served)
    refuse(world, seconds=500)
    assert [claim.id for claim in worker.claim(10)] == mine[:2]
    pass_time(world, 2)
    assert [claim.id in mine for claim in worker.claim(10)] == [True, False]
    assert worker.ask(10).wait_us is not None
    world.check()


def test_tokens_of_the_other_model_are_charged(world: World) -> None:
    put(world, 4, overflow=f"{OTHER_MODEL} 1000")
    worker = world.worker(plan(first(), other(token_us=1_000, burst_us=2_000_000)))
    refuse(world)
    assert len(worker.claim(4)) == 2
    assert world.raw.hget(f"{world.keys.own}:pool:{OTHER}", "tokens") == b"2000"


def test_a_pool_that_is_shut_itself_or_short_of_the_same_money_is_no_way_out(world: World) -> None:
    put(world, 3)
    worker = world.worker(BOTH)
    refuse(world)
    world.do(pools.suspend(world.scripts, OTHER, reason="weekend"))
    assert worker.claim(3) == ()
    world.do(pools.resume(world.scripts, OTHER))
    world.do(pools.resume(world.scripts, FIRST))
    world.do(pools.suspend(world.scripts, FIRST, reason="budget: month's cap"))
    assert worker.claim(3) == ()
    elsewhere = world.worker(plan(first(), other(SPARE)))
    assert by_pool(elsewhere.claim(3)) == {SPARE: 3}


def test_a_pool_that_was_refused_and_has_no_jobs_of_its_own_is_tried_again(world: World) -> None:
    """By one job first, as after any pause."""
    put(world, 5)
    worker = world.worker(BOTH)
    refuse(world, seconds=500)
    refuse(world, OTHER)
    assert worker.claim(5) == ()
    pass_time(world, 6)
    assert by_pool(worker.claim(5)) == {OTHER: 1}
    pass_time(world, 4)
    assert by_pool(worker.claim(5)) == {OTHER: 4}


def test_tenants_take_turns_there_by_weight_and_priorities_hold(world: World) -> None:
    put(world, 40, tenant="large")
    put(world, 40, tenant="double")
    high = put(world, 2, priority="high")
    worker = world.worker(plan(first(), other(), weights={"double": 2.0}))
    refuse(world)
    given = worker.claim(32)
    assert [claim.id for claim in given[:2]] == high
    served = Counter(world.field(claim.id, "iq_tenant") for claim in given[2:])
    assert abs(served["double"] - 20) <= 1


def test_a_held_tenants_jobs_stay(world: World) -> None:
    ids = put(world, 2, tenant="over")
    world.script("tenant", "hold", "over", "{}")
    ids += put(world, 1, tenant="over")
    worker = world.worker(BOTH)
    refuse(world)
    assert worker.claim(5) == ()
    world.script("tenant", "release", "over", "", *QUEUES)
    assert [claim.id for claim in worker.claim(5)] == ids


def test_a_job_that_comes_back_for_good_waits_for_its_first_choice(world: World) -> None:
    (job_id,) = put(world, 1)
    worker = world.worker(BOTH)
    refuse(world)
    (claim,) = worker.claim()
    worker.requeue(claim, fields={"iq_overflow": ""})
    assert worker.claim() == ()
    world.do(pools.resume(world.scripts, FIRST))
    assert [(claim.id, claim.pool) for claim in worker.claim()] == [(job_id, FIRST)]


def test_jobs_come_back_to_the_first_choice_once_it_has_worked_for_three_seconds(world: World) -> None:
    refuse(world)
    looks = _looks(world, seconds=12, refused=lambda _: False)
    firsts = [(now, count[FIRST]) for now, count in looks]
    assert all(count == 0 for now, count in firsts if now < 5)  # paused
    (probe, *trials) = [now for now, count in firsts if count == 1]
    assert probe < 5 + LOOK_SECONDS
    assert all(later - now > 1 for now, later in pairwise([probe, *trials]))  # on trial: one a second
    assert len(trials) >= 2
    assert all(count == JOBS for now, count in firsts if now > probe + 3)
    assert all(count[FIRST] + count[OTHER] == JOBS for _, count in looks)


@pytest.mark.parametrize(("half_seconds", "flaps_max"), [(1, 0), (5, 1)])
def test_a_provider_that_comes_and_goes_meets_one_probe_in_each_pause(
    world: World, half_seconds: int, flaps_max: int
) -> None:
    """It refuses for a second, or five, and works for as long, for 20 seconds and more: each pause costs one call.

    Where it works for long enough to be trusted, jobs come back to it once; after that refusal it takes twice as long.
    """
    refuse(world, seconds=1)
    looks = _looks(world, seconds=20 * half_seconds, refused=lambda now: now // half_seconds % 2 == 0)
    refusals = [count["refused"] for _, count in looks]
    assert sum(count > 1 for count in refusals) <= flaps_max
    assert sum(map(bool, refusals)) >= 2
    assert world.raw.hget(f"{world.keys.own}:pool:{FIRST}", "refused") is not None


def _looks(world: World, *, seconds: float, refused: Callable[[float], bool]) -> list[tuple[float, Counter[str]]]:
    """Jobs come before each look, and all are given; the first choice may refuse its calls. When, and how many were."""
    clock, worker = PoolTime(world), world.worker(BOTH)
    looks: list[tuple[float, Counter[str]]] = []
    for number in range(int(seconds / LOOK_SECONDS)):
        now = number * LOOK_SECONDS
        put(world, JOBS)
        clock.set(now)
        given = worker.claim(2 * JOBS)
        served = by_pool(given)
        clock.set(now + CALL_SECONDS)
        for claim in given:
            sent(world, claim)
        if refused(now):
            served["refused"] = _turn_away(world, worker, given)
        looks.append((now, served))
    return looks


def _turn_away(world: World, worker: Worker, given: tuple[Claim, ...]) -> int:
    """Return how many calls the first choice refused; their jobs go back."""
    turned_away = [claim for claim in given if claim.pool == FIRST]
    for claim in turned_away:
        refuse(world, seconds=0.5)
        worker.requeue(claim)
    return len(turned_away)


def test_the_ways_of_a_job_are_its_models_worded_with_their_tokens() -> None:
    asked = job(overflow=[OTHER_MODEL, "dall-e-2"], quality="hd")
    ways = ways_out(asked, CATALOG).split(",")
    assert [way.split()[0] for way in ways][:1] == [OTHER_MODEL]
    assert all(int(way.split()[1]) >= 0 for way in ways)
    assert ways_out(job(), CATALOG) == ""
    assert ways_out(asked.model_copy(update={"delivery": "batch"}), CATALOG) == ""


def test_a_plan_says_which_models_a_pool_takes() -> None:
    assert '"models": ["dall-e-3"]' in ClaimPlan(pools=(first(),)).encode()
