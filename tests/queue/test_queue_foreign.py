"""Jobs that others put on our queues with RQ's own client, and what RQ's client does to them while they wait."""

import pytest
from queue_world import DEFAULT, HIGH, LOW, Worker, World
from rq import Queue
from rq.job import Job as RQJob

from imagequeue.config.job import FUNCTION_NAME

LOOKS_MAX = 50


def queue_of(world: World, name: str = DEFAULT) -> Queue:
    """Return RQ's own view of a queue, with the serializer that the contract names."""
    return Queue(name, connection=world.raw, serializer="json")


def put(world: World, queue: str = DEFAULT, **how: object) -> str:
    """Enqueue as an app does that has only RQ."""
    words = {"prompt": "a cat", "model": how.pop("model", None)}
    return str(queue_of(world, queue).enqueue(FUNCTION_NAME, words, **how).id)


def settle_in(world: World, worker: Worker) -> None:
    """Take foreign jobs in for as long as the claim says that there are any."""
    for _ in range(LOOKS_MAX):
        foreign = worker.ask(0).foreign
        if not foreign:
            return
        for queue in foreign:
            world.take_in(queue)
    raise AssertionError("foreign jobs are left")


def test_a_job_of_rqs_client_is_taken_in_and_served(rq_world: World) -> None:
    name = put(rq_world)
    worker = rq_world.worker()
    assert worker.ask(5).claims == ()
    settle_in(rq_world, worker)
    rq_world.check()
    (claim,) = worker.claim(5)
    assert (claim.id, claim.kind) == (name, "run")
    worker.settle(claim)
    assert RQJob.fetch(name, connection=rq_world.raw, serializer="json").is_finished
    rq_world.check()


def test_foreign_and_own_jobs_share_a_queue(rq_world: World) -> None:
    """At the front, at the end and between: all are served, none twice."""
    ids = {rq_world.put(), put(rq_world), rq_world.put(), put(rq_world, at_front=True), rq_world.put()}
    ids |= {put(rq_world, at_front=True) for _ in range(5)} | {put(rq_world) for _ in range(5)}
    worker = rq_world.worker()
    settle_in(rq_world, worker)
    rq_world.check(exact=False)
    claims = worker.claim(64)
    assert sorted(claim.id for claim in claims) == sorted(ids)
    assert rq_world.listed() == []
    for claim in claims:
        assert worker.settle(claim)
    rq_world.check()


def test_many_foreign_jobs_are_taken_in_window_by_window(rq_world: World) -> None:
    ids = {put(rq_world) for _ in range(700)}
    worker = rq_world.worker()
    settle_in(rq_world, worker)
    rq_world.check()
    served = [claim.id for _ in range(12) for claim in worker.claim(64)]
    assert sorted(served) == sorted(ids)


def test_a_duplicate_entry_is_one_job(rq_world: World) -> None:
    """What RQ's client does when a reply is lost: one hash, two entries."""
    name = put(rq_world)
    rq_world.raw.rpush(rq_world.keys.queue(DEFAULT), name)
    worker = rq_world.worker()
    for _ in range(3):
        rq_world.take_in()
    (claim,) = worker.claim(5)
    for _ in range(3):
        rq_world.take_in()
        assert worker.claim(5) == ()
    assert claim.id == name
    assert rq_world.listed() == []


@pytest.mark.parametrize("stage", ["queued", "claimed", "finished"])
def test_a_late_duplicate_of_our_own_job_is_dropped(rq_world: World, stage: str) -> None:
    name = rq_world.put()
    worker = rq_world.worker()
    claims = worker.claim() if stage != "queued" else ()
    if stage == "finished":
        worker.settle(claims[0])
    rq_world.raw.rpush(rq_world.keys.queue(DEFAULT), name)
    given = []
    for _ in range(4):
        rq_world.take_in()
        given += [claim.id for claim in worker.claim(5)]
    assert given == ([name] if stage == "queued" else [])
    assert rq_world.listed() == []


def test_rqs_cancel_of_a_queued_job_is_obeyed(rq_world: World) -> None:
    mine, foreign = rq_world.put(), put(rq_world)
    worker = rq_world.worker()
    settle_in(rq_world, worker)
    for name in (mine, foreign):
        RQJob.fetch(name, connection=rq_world.raw, serializer="json").cancel()
    keeps = rq_world.put()
    assert [claim.id for claim in worker.claim(5)] == [keeps]
    assert rq_world.status(mine) == rq_world.status(foreign) == "canceled"
    settle_in(rq_world, worker)
    assert rq_world.listed() == []


def test_rqs_delete_of_a_queued_job_is_obeyed(rq_world: World) -> None:
    ids = rq_world.fill(3)
    RQJob.fetch(ids[1], connection=rq_world.raw, serializer="json").delete()
    worker = rq_world.worker()
    assert [claim.id for claim in worker.claim(5)] == [ids[0], ids[2]]
    settle_in(rq_world, worker)
    rq_world.check()


def test_rqs_empty_leaves_a_queue_that_works(rq_world: World) -> None:
    rq_world.fill(5)
    queue_of(rq_world).empty()  # type: ignore[no-untyped-call]  # RQ's own
    worker = rq_world.worker()
    assert worker.claim(5) == ()
    name = rq_world.put()
    assert [claim.id for claim in worker.claim(5)] == [name]
    settle_in(rq_world, worker)
    rq_world.check()


def test_rqs_remove_takes_an_id_off_and_positions_mend(rq_world: World) -> None:
    ids = rq_world.fill(6)
    queue_of(rq_world).remove(ids[2])
    rq_world.raw.hset(rq_world.keys.job(ids[2]), "status", "canceled")
    worker = rq_world.worker()
    assert [claim.id for claim in worker.claim(6)] == [each for each in ids if each != ids[2]]
    assert rq_world.listed() == []


def test_a_foreign_job_that_names_another_model_moves_there(rq_world: World) -> None:
    name = put(rq_world, HIGH, model="gpt-image-1")
    rq_world.take_in(HIGH)
    assert rq_world.field(name, "origin") == "gpt-image-1.high"
    assert rq_world.raw.lrange(rq_world.keys.queue("gpt-image-1.high"), 0, -1) == [name.encode()]
    assert rq_world.listed(HIGH) == []


def test_a_foreign_job_the_model_does_not_accept_fails_with_the_field(rq_world: World) -> None:
    job = queue_of(rq_world, LOW).enqueue(FUNCTION_NAME, {"prompt": "a cat", "size": "7x7"})
    assert rq_world.take_in(LOW).refused == 1
    assert rq_world.places() == {job.id: [f"failed {LOW}"]}
    assert "size: " in rq_world.error(job.id)
    latest = RQJob.fetch(job.id, connection=rq_world.raw, serializer="json").latest_result()
    assert latest is not None
    assert "JobRefused: size: " in str(latest.exc_string)


def test_an_entry_without_a_job_is_dropped_with_a_reason(rq_world: World) -> None:
    rq_world.raw.rpush(rq_world.keys.queue(DEFAULT), "ghost")
    assert rq_world.take_in().refused == 1
    assert rq_world.listed() == []
    assert rq_world.raw.hexists(f"{rq_world.keys.own}:unreadable", "ghost")
