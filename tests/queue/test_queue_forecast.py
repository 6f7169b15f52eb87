"""What is told of a queued job's wait is held against the order in which the claim script serves it; no clock."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from queue_world import CATALOG, QUEUES, World, job, plan, pool

from imagequeue.config.orgs import Org
from imagequeue.queue import pools
from imagequeue.queue.ceilings import pools_of
from imagequeue.queue.forecast import Rival, Stream, seconds_until, slowed_seconds
from imagequeue.queue.places import read_places
from imagequeue.queue.record import read_records
from imagequeue.queue.waits import Scene

WEIGHTS = {"a": 3.0, "c": 0.5}
ORGS = [Org(name=name, base_url="http://127.0.0.1:9/v1", tier="5") for name in ("main", "other")]
SHARE_WRONG_MAX, IMAGES_WRONG_MAX = 0.1, 3.0
"""What is told may be wrong by so much of the wait, and by so many images beside it: turns are whole jobs."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What waits: jobs by priority, tenants, sizes, organizations; and what share of the starts joins meanwhile."""

    jobs: tuple[int, int, int] = (0, 400, 0)
    tenants: str = "a"
    sizes: tuple[int, ...] = (1,)
    orgs: int = 1
    joins: tuple[float, float, float] = (0.0, 0.0, 0.0)
    weights: dict[str, float] = field(default_factory=dict)


CASES = {
    "one tenant": Case(),
    "tenants by weight": Case(tenants="abc", weights=WEIGHTS),
    "priorities": Case(jobs=(60, 200, 80)),
    "jobs of several images": Case(tenants="ab", sizes=(1, 2, 3, 4)),
    "two pools": Case(jobs=(60, 200, 60), orgs=2),
    "high jobs keep coming": Case(jobs=(40, 150, 40), joins=(1 / 3, 0.0, 0.0)),
    "jobs of each priority keep coming": Case(jobs=(40, 150, 60), tenants="ab", joins=(0.3, 0.1, 0.1)),
    "everything at once": Case(
        jobs=(60, 200, 60), tenants="abc", sizes=(1, 2, 4), joins=(0.1, 0.1, 0.0), weights=WEIGHTS
    ),
}


class Queue:
    """A queue that is served one job at a time; the time is the number of images that were started."""

    def __init__(self, world: World, case: Case) -> None:
        self.world, self.case = world, case
        self.chance = random.Random(3)  # noqa: S311 - a made-up load
        served = [pool(f"{org.name}|dall-e-3") for org in ORGS[: case.orgs]]
        self.worker = world.worker(plan(*served, weights=case.weights))
        self.images: dict[str, int] = {}
        self.started: dict[str, int] = {}
        self.owed = [0.0, 0.0, 0.0]
        self.at = 0

    def join(self, priority: int, many: int) -> None:
        """Put jobs on one queue."""
        name = QUEUES[priority].rpartition(".")[2]
        jobs = [job(priority=name, tenant=self.chance.choice(self.case.tenants)) for _ in range(many)]
        for accepted in self.world.add(*jobs) if jobs else ():
            self.images[accepted.id] = self.chance.choice(self.case.sizes)
            if self.images[accepted.id] > 1:
                self.world.raw.hset(self.world.keys.job(accepted.id), "iq_n", self.images[accepted.id])

    def serve(self) -> bool:
        """Start one job, and let join what joins in the time that takes."""
        given = self.worker.claim()
        for claim in given:
            self.started[claim.id] = self.at
            self.at += self.images[claim.id]
            for priority, share in enumerate(self.case.joins):
                self.owed[priority] += share * self.images[claim.id]
                mean = sum(self.case.sizes) / len(self.case.sizes)
                whole = int(self.owed[priority] / mean)
                self.join(priority, whole)
                self.owed[priority] -= whole * mean
        return bool(given)

    def told(self) -> dict[str, float]:
        """Return the time at which each queued job is told to start."""
        world, case = self.world, self.case
        queued = [job_id for queue in QUEUES for job_id in world.listed(queue)]
        mean = sum(case.sizes) / len(case.sizes)
        for queue, share in zip(QUEUES, case.joins, strict=True):
            world.raw.hset(f"{world.keys.own}:queue:{queue}", "arrivals", share / mean)  # as flow.lua measures it
        served = pools_of(CATALOG, ORGS[: case.orgs])
        states = world.do(pools.states(world.scripts, tuple(each.name for each in served)))
        scene = Scene(
            now=datetime.now(UTC), pools=served, pace_fraction=1, states=states, workers=1, tenant_weights=case.weights
        )
        records = world.do(read_records(world.scripts, queued))
        places = world.do(read_places(world.scripts, list(records.values()), scene))
        return {
            job_id: self.at + seconds_until(place.own, place.rivals, place.streams, place.mine, 1.0)
            for job_id, place in places.items()
        }


@pytest.mark.parametrize("name", CASES)
def test_what_is_told_is_when_the_script_serves_it(world: World, name: str) -> None:
    queue = Queue(world, CASES[name])
    for priority, many in enumerate(queue.case.jobs):
        queue.join(priority, many)
    for _ in range(23):
        queue.serve()
    asked_at, told = queue.at, queue.told()
    assert len(told) > 200
    while not told.keys() <= queue.started.keys():
        assert queue.serve()
    wrong = {}
    for job_id, at in told.items():
        wait = queue.started[job_id] - asked_at
        if abs(at - queue.started[job_id]) > SHARE_WRONG_MAX * wait + IMAGES_WRONG_MAX * max(queue.case.sizes):
            wrong[job_id] = (world.field(job_id, "origin"), wait, at - asked_at)
    assert not wrong


def test_a_share_brings_a_turn_though_higher_jobs_never_end() -> None:
    """At one image a second: the first default job after 19 others, the eleventh after 219; a low one after 99."""
    high = Stream(images=100_000)
    default, low = Stream(share=0.05, lacks=(0.95,)), Stream(share=0.01, lacks=(0.99,))
    assert seconds_until(0, (), (high, default, low), 1, 1) == pytest.approx(19)
    assert seconds_until(10, (), (high, default, low), 1, 1) == pytest.approx(219)
    assert seconds_until(0, (), (high, default, low), 2, 1) == pytest.approx(99)
    strict = Stream()
    assert seconds_until(0, (), (high, strict, strict), 1, 1) == pytest.approx(100_000)


def test_what_joins_above_is_served_before() -> None:
    """300 high images and a third of the pace that joins them: 450 are served before a default one, less its share."""
    high = Stream(images=300, arriving=1 / 3)
    assert seconds_until(0, (), (high, Stream(), Stream()), 1, 1) == pytest.approx(450)
    assert seconds_until(90, (), (high, Stream(), Stream()), 1, 1) == pytest.approx(450 + 90 * 1.5)
    never = Stream(images=1, arriving=1.5)
    assert seconds_until(0, (), (never, Stream(), Stream()), 1, 1) == float("inf")


def test_a_rival_is_counted_as_far_as_it_goes() -> None:
    """Of another tenant's line what it has and what joins it meanwhile, at most what has its turn before."""
    rival = Rival(before=100, has=20, grows=0.5)
    assert seconds_until(100, (rival,), (Stream(),), 0, 1) == pytest.approx(200, rel=0.02)
    assert seconds_until(50, (rival,), (Stream(),), 0, 1) == pytest.approx(140, rel=0.02)


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 0.0), (3.96, 6.0), (16.0, 20.0), (100.0, 104.0)])
def test_a_lowered_pace_comes_back_meanwhile(seconds: float, expected: float) -> None:
    """From 0.6 in 20 seconds, two per cent each: 16 seconds of work are done by then."""
    assert slowed_seconds(seconds, 0.6, recovers=True) == pytest.approx(expected)
    assert slowed_seconds(seconds, 0.6, recovers=False) == pytest.approx(seconds / 0.6)
