"""Cancelling at every stage, reviving, changing priority."""

import pytest
from queue_world import DEFAULT, HIGH, TTL_SECONDS, World, plan

from imagequeue.queue.claims import Ending

HOUR_US = 3_600_000_000
CANCELLED = Ending(status="canceled", ttl_seconds=TTL_SECONDS)


def test_a_queued_job_is_cancelled_at_once(world: World) -> None:
    first, second, third = world.fill(3)
    assert world.cancel(second) == "queued"
    assert world.places()[second] == [f"canceled {DEFAULT}"]
    assert [claim.id for claim in world.worker().claim(5)] == [first, third]
    world.check()


@pytest.mark.parametrize("delay_us", [HOUR_US, -1])
def test_a_waiting_job_is_cancelled_at_once(world: World, delay_us: int) -> None:
    world.put()
    worker = world.worker()
    (claim,) = worker.claim()
    worker.requeue(claim, delay_us=delay_us, why={"reason": "doubt"})
    assert world.cancel(claim.id) == ("scheduled" if delay_us > 0 else "deferred")
    assert world.places() == {claim.id: [f"canceled {DEFAULT}"]}


@pytest.mark.parametrize("delay_us", [0, HOUR_US, -1])
def test_a_started_job_comes_back_to_be_ended(world: World, delay_us: int) -> None:
    """Whatever it should have waited for; whoever claims it then writes its end into the ledger."""
    world.put()
    worker = world.worker()
    (claim,) = worker.claim()
    assert world.cancel(claim.id) == "started"
    assert worker.requeue(claim, delay_us=delay_us)
    assert world.places() == {claim.id: [f"list {DEFAULT}"]}
    (again,) = worker.claim()
    assert (again.id, again.kind) == (claim.id, "cancelled")
    assert worker.settle(again, CANCELLED)
    world.check()


def test_an_answer_that_came_first_stands(world: World) -> None:
    world.put()
    worker = world.worker()
    (claim,) = worker.claim()
    world.cancel(claim.id)
    assert worker.settle(claim)
    assert world.status(claim.id) == "finished"
    world.check()


@pytest.mark.parametrize("how", ["reap", "retire"])
def test_a_job_cancelled_while_its_worker_dies_or_leaves_comes_back_to_be_ended(world: World, how: str) -> None:
    cancelled, kept = world.fill(2)
    worker = world.worker()
    worker.claim(2)
    world.cancel(cancelled)
    if how == "retire":
        worker.retire()
    else:
        world.expire(worker)
        world.reap()
    world.check()
    given = {claim.id: claim.kind for claim in world.worker().claim(5)}
    assert given == {cancelled: "cancelled", kept: "run"}


def test_cancelling_twice_or_after_the_end_changes_nothing(world: World) -> None:
    name = world.put()
    assert [world.cancel(name) for _ in range(2)] == ["queued", "canceled"]
    done = world.put()
    worker = world.worker()
    worker.settle(worker.claim()[0])
    assert world.cancel(done) == "finished"
    assert world.cancel("nobody") == ""
    world.check()


@pytest.mark.parametrize("end", ["failed", "canceled", "scheduled", "deferred"])
def test_an_ended_or_waiting_job_is_revived_with_all_its_attempts(world: World, end: str) -> None:
    name = world.put()
    worker = world.worker()
    (claim,) = worker.claim()
    if end == "failed":
        worker.settle(claim, Ending(status="failed", ttl_seconds=TTL_SECONDS, error={"code": "x", "message": "y"}))
    elif end == "canceled":
        world.cancel(name)
        worker.settle(claim, CANCELLED)
    else:
        worker.requeue(claim, delay_us=HOUR_US if end == "scheduled" else -1, counts=True)
    assert world.script("revive", name, "").decode() == end
    assert world.places() == {name: [f"list {DEFAULT}"]}
    assert world.raw.ttl(world.keys.job(name)) == -1
    assert world.error(name) == ""
    (again,) = worker.claim()
    assert (again.tries, again.kind) == (0, "run")
    world.check()


def test_a_started_or_finished_job_is_not_revived(world: World) -> None:
    name = world.put()
    worker = world.worker()
    (claim,) = worker.claim()
    assert world.script("revive", name, "") == b"started"
    worker.settle(claim)
    assert world.script("revive", name, "") == b"finished"
    assert world.script("revive", "nobody", "") == b""
    world.check()


def test_a_queued_jobs_priority_is_changed_in_place(world: World) -> None:
    """It keeps its age: among the high ones it stands where it would have stood."""
    old = world.put()
    young = world.put(priority="high")
    world.script("revive", old, "high")
    assert world.places()[old] == [f"list {HIGH}"]
    assert [claim.id for claim in world.worker(plan()).claim(2)] == [old, young]
    world.check()


def test_the_same_priority_again_changes_nothing(world: World) -> None:
    ids = world.fill(3)
    assert world.script("revive", ids[1], "default") == b"queued"
    assert world.listed() == ids
    world.check()
