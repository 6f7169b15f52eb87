"""The audit: every job in exactly one place, and what was left by others found and mended."""

from collections.abc import Callable

import pytest
from queue_world import DEFAULT, MODEL, World
from rq import Queue
from rq.job import JobStatus

from imagequeue.config.job import FUNCTION_NAME
from imagequeue.queue import auditing


def audit(world: World, *, repair: bool = False) -> auditing.Audit:
    """Audit the world's model."""
    return world.do(auditing.audit(world.scripts, models=(MODEL,), repair=repair))


def findings(world: World, *, repair: bool = False) -> dict[str, str]:
    """Return job id -> finding."""
    return {found.id: found.finding for found in audit(world, repair=repair).findings}


def test_a_queue_in_use_is_sound(world: World) -> None:
    """Queued, delayed, parked, claimed and ended jobs are each in one place."""
    world.fill(6)
    worker = world.worker()
    claimed = worker.claim(most=4)
    worker.settle(claimed[0])
    worker.requeue(claimed[1], delay_us=60_000_000, why={"reason": "backoff"})
    worker.requeue(claimed[2], delay_us=-1, why={"reason": "doubt"})
    seen = audit(world)
    assert (seen.sound, seen.jobs, seen.findings) == (True, 6, ())
    (lease,) = seen.leases
    assert (lease.worker, lease.claims) == (worker.name, 1)
    assert lease.seconds_left > 0


def _popped(world: World, job_id: str) -> None:
    """As a stock worker that died after BLPOP leaves it."""
    world.script("cancel", job_id, 1000)
    world.raw.zrem(world.keys.registry("canceled", DEFAULT), job_id)
    world.raw.persist(world.keys.job(job_id))
    world.raw.hset(world.keys.job(job_id), "status", "queued")


def _started(world: World, job_id: str) -> None:
    """As a stock worker that died between RQ's status and its registry leaves it."""
    _popped(world, job_id)
    world.raw.hset(world.keys.job(job_id), mapping={"status": "started", "worker_name": "gone"})


def _scheduled(world: World, job_id: str) -> None:
    """As a stock `Retry` that was killed in the middle leaves it."""
    _popped(world, job_id)
    world.raw.hset(world.keys.job(job_id), "status", "scheduled")


def _intermediate(world: World, job_id: str) -> None:
    """As a stock worker of one queue that died after BLMOVE leaves it."""
    _popped(world, job_id)
    world.raw.rpush(world.keys.queue(DEFAULT) + ":intermediate", job_id)


@pytest.mark.parametrize("leave", [_popped, _started, _scheduled, _intermediate])
def test_what_a_dead_stock_worker_leaves_is_found_and_queued_again(
    world: World, leave: Callable[[World, str], None]
) -> None:
    """A job in no place is an orphan; repaired, it is claimed like any other."""
    lost, other = world.fill(2)
    leave(world, lost)
    assert findings(world) == {lost: "orphan"}
    assert not audit(world).sound
    assert audit(world, repair=True).sound
    assert findings(world) == {}
    world.check()
    assert {claim.id for claim in world.worker().claim(most=5)} == {lost, other}


def test_an_orphan_that_never_had_a_line_is_checked_when_it_comes_back(rq_world: World) -> None:
    """A job that RQ's client enqueued and a stock worker lost goes back on RQ's list and is taken in from there."""
    queue = Queue(DEFAULT, connection=rq_world.raw, serializer="json")
    lost = queue.enqueue(FUNCTION_NAME, {"prompt": "a cat"}).id
    rq_world.raw.lpop(rq_world.keys.queue(DEFAULT))
    assert findings(rq_world, repair=True) == {lost: "orphan"}
    assert rq_world.take_in().adopted == 1
    assert [claim.id for claim in rq_world.worker().claim(most=5)] == [lost]


def test_a_job_off_the_list_but_in_line_is_entered_anew(world: World) -> None:
    """RQ's view and ours agree again."""
    job_id = world.put()
    world.raw.lrem(world.keys.queue(DEFAULT), 1, job_id)
    assert findings(world, repair=True) == {job_id: "unlisted"}
    assert findings(world) == {}
    assert world.listed() == [job_id]


def test_a_second_place_is_taken_away(world: World) -> None:
    """A queued job that is also scheduled would run twice in RQ's eyes."""
    job_id = world.put()
    world.raw.zadd(world.keys.registry("scheduled", DEFAULT), {job_id: 1})
    assert findings(world, repair=True) == {job_id: "double"}
    assert findings(world) == {}
    world.check()


def test_jobs_of_others_are_left_alone(rq_world: World) -> None:
    """Another application's queue on the same server, and a job that a stock worker runs now."""
    other = Queue("emails", connection=rq_world.raw, serializer="json").enqueue("print", "x")
    rq_world.raw.lpop(rq_world.keys.queue("emails"))
    mine = rq_world.put()
    rq_world.raw.lpop(rq_world.keys.queue(DEFAULT))
    rq_world.script("cancel", mine, 1000)
    rq_world.raw.hset(rq_world.keys.job(mine), "status", JobStatus.STARTED)
    rq_world.raw.zadd(rq_world.keys.registry("wip", DEFAULT), {f"{mine}:abc": 4_000_000_000})
    seen = audit(rq_world, repair=True)
    assert {found.id: found.finding for found in seen.findings} == {mine: "foreign"}
    assert seen.sound
    assert other.get_status() == JobStatus.QUEUED
