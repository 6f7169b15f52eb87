"""Fencing: only the holder of a claim ends it, once; what the dead held comes back, once."""

import threading

import pytest
from queue_world import DEFAULT, LEASE_US, World
from redis import Redis

from imagequeue.queue import claims as queue_claims
from imagequeue.queue import scripts as queue_scripts
from imagequeue.queue.claims import WorkerGone

ROUNDS = 200
JOBS_PER_ROUND = 5


def test_a_claim_is_settled_once(world: World) -> None:
    name = world.put()
    worker = world.worker()
    (claim,) = worker.claim()
    assert [worker.settle(claim) for _ in range(3)] == [True, False, False]
    assert world.raw.xlen(f"{world.keys.result_prefix}{name}") == 1
    assert world.places() == {name: [f"finished {DEFAULT}"]}


def stale_settle(world: World) -> bool:
    """Let a worker go silent, another take its job over, and the first come back with the answer."""
    world.put()
    first, second = world.worker(), world.worker()
    (old,) = first.claim()
    world.expire(first)
    assert world.reap() == 1
    (new,) = second.claim()
    assert (new.id, new.delivery) == (old.id, old.delivery + 1)
    refused = not first.settle(old) and not first.requeue(old)
    return refused and second.settle(new)


def test_a_worker_that_was_given_up_settles_nothing(world: World) -> None:
    assert stale_settle(world)
    world.check()


def test_without_the_fence_that_test_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check has teeth: a copy of the scripts that ends any claim lets the stale worker settle."""
    fence = "if not claim then return nil end"
    number = "if number ~= delivery then return nil end"
    true_source = queue_scripts.source

    def unfenced(name: str) -> str:
        text = true_source(name)
        if name not in ("settle", "requeue"):
            return text
        assert fence in text
        assert number in text
        return text.replace(fence, f"claim = claim or (delivery .. ' {DEFAULT}')").replace(number, "")

    queue_scripts.digest.cache_clear()
    monkeypatch.setattr(queue_scripts, "source", unfenced)
    try:
        assert not stale_settle(world)
    finally:
        queue_scripts.digest.cache_clear()


def test_the_same_worker_cannot_use_an_earlier_delivery(world: World) -> None:
    world.put()
    worker = world.worker()
    (old,) = worker.claim()
    worker.requeue(old)
    (new,) = worker.claim()
    assert new.delivery == old.delivery + 1
    assert not worker.settle(old)
    assert not worker.requeue(old, counts=True)
    assert world.field(new.id, "iq_tries") is None
    assert worker.settle(new)


def test_attempts_count_only_where_they_should(world: World) -> None:
    world.put()
    worker = world.worker()
    worker.requeue(worker.claim()[0])
    worker.requeue(worker.claim()[0], counts=True)
    (claim,) = worker.claim()
    assert (claim.delivery, claim.tries) == (3, 1)


def test_a_worker_given_up_cannot_claim_or_renew(world: World) -> None:
    world.put()
    worker = world.worker()
    world.expire(worker)
    world.reap()
    with pytest.raises(WorkerGone):
        worker.claim()
    assert not worker.renew()


def test_renewing_keeps_claims_from_reapers(world: World) -> None:
    world.fill(3)
    worker = world.worker(lease_us=1)
    assert worker.renew(LEASE_US)
    worker.claim(3)
    assert world.reap() == 0
    assert len(world.claimed()) == 3


def test_a_lost_reply_of_claim_is_found_again(world: World) -> None:
    """The server gave the jobs, the worker never heard: it asks what it holds beyond what it knows."""
    ids = world.fill(4)
    worker = world.worker()
    known = worker.claim(2)
    lost = worker.claim(2)
    assert {claim.id for claim in worker.held(*(claim.id for claim in known))} == set(ids[2:])
    for claim in worker.held(*(claim.id for claim in known)):
        assert claim.data == next(each.data for each in lost if each.id == claim.id)
        assert worker.settle(claim)
    assert worker.held(*(claim.id for claim in known)) == ()


def test_retiring_gives_all_back_at_once_and_in_order(world: World) -> None:
    ids = world.fill(5)
    worker = world.worker()
    worker.claim(5)
    assert worker.retire() == 5
    assert {world.field(name, "iq_crashes") for name in ids} == {None}
    assert [claim.id for claim in world.worker().claim(5)] == ids
    assert not world.raw.sismember(world.keys.workers, world.keys.worker(worker.name))
    world.check()


def test_a_dead_workers_jobs_come_back_and_it_is_counted(world: World) -> None:
    ids = world.fill(3)
    worker = world.worker()
    worker.claim(3)
    world.expire(worker)
    assert world.reap() == 3
    assert world.reap() == 0
    assert {world.field(name, "iq_crashes") for name in ids} == {"1"}
    world.check()


def test_many_claims_of_the_dead_come_back_in_bounded_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_claims, "REAP_BATCH_MAX", 7)
    world.fill(40)
    workers = [world.worker() for _ in range(2)]
    for worker in workers:
        worker.claim(20)
        world.expire(worker)
    assert world.reap() == 40
    world.check()


def test_a_job_that_kills_its_workers_is_set_apart(world: World) -> None:
    world.put()
    for _ in range(10):
        worker = world.worker()
        assert [claim.kind for claim in worker.claim()] == ["run"]
        world.expire(worker)
        world.reap()
        world.due()
        world.promote()
    assert [claim.kind for claim in world.worker().claim()] == ["poison"]


def test_pending_counts_what_may_still_come_to_life(world: World) -> None:
    world.fill(3)
    worker = world.worker()
    first, second, _ = worker.claim(3)
    worker.settle(first)
    worker.requeue(second, delay_us=60_000_000)
    assert world.do(queue_claims.pending(world.scripts, (DEFAULT,))) == 2
    world.expire(worker)
    assert world.do(queue_claims.pending(world.scripts, (DEFAULT,))) == 2


class Racers:
    """Threads that each run one script when the round begins; the test looks at the result between rounds."""

    def __init__(self, world: World, calls: list[tuple[str, list[object]]]) -> None:
        self._world = world
        self._barrier = threading.Barrier(len(calls) + 1)
        self._threads = [threading.Thread(target=self._race, args=call, daemon=True) for call in calls]
        self.worker = ""
        for thread in self._threads:
            thread.start()

    def _race(self, script: str, arguments: list[object]) -> None:
        with Redis.from_url(self._world.url) as client:
            digest = client.script_load(queue_scripts.source(script))
            for _ in range(ROUNDS):
                self._barrier.wait(30)
                named = [self.worker, *arguments] if script == "renew" else arguments
                client.evalsha(digest, 0, self._world.keys.rq, self._world.keys.own, *named)
                self._barrier.wait(30)

    def round(self, worker: str) -> None:
        """Let all of them go at once, and return when all are done."""
        self.worker = worker
        self._barrier.wait(30)
        self._barrier.wait(30)

    def join(self) -> None:
        """Return when every thread has ended."""
        for thread in self._threads:
            thread.join(30)


def test_two_reapers_and_a_renewing_worker_never_double_a_job(world: World) -> None:
    """Whoever wins each of 200 races, all five jobs are claimed or all are queued, and each of them once."""
    ids = set(world.fill(JOBS_PER_ROUND))
    reap: tuple[str, list[object]] = ("reap", [100])
    racers = Racers(world, [reap, reap, ("renew", [LEASE_US, "busy", "", ""])])
    for _ in range(ROUNDS):
        worker = world.worker()
        assert {claim.id for claim in worker.claim(JOBS_PER_ROUND)} == ids
        world.expire(worker)
        racers.round(worker.name)
        listed = world.listed()
        assert len(listed) in (0, JOBS_PER_ROUND)
        assert set(listed) | set(world.claimed()) == ids
        assert not set(listed) & set(world.claimed())
        worker.retire()
        for name in ids:
            world.raw.hdel(world.keys.job(name), "iq_crashes")
    racers.join()
    world.check()
