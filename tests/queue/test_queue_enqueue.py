"""Putting jobs on queues: each at most once, in order, or refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from queue_world import DEFAULT, World, job

from imagequeue.config.errors import IdempotencyConflict, JobRefused
from imagequeue.config.job import Job, queue_name
from imagequeue.queue.asked import fingerprints
from imagequeue.queue.entries import BATCH_MAX, IDEMPOTENCY_TTL_SECONDS, Entry, enqueue, may_be_computed, new_job_id
from imagequeue.queue.flights import Flight
from imagequeue.queue.payload import decode


def test_the_same_job_twice_is_there_once(world: World) -> None:
    wanted = job(idempotency_key="order-1")
    names = [new_job_id(wanted)]
    assert [world.add(wanted, ids=names)[0].created for _ in range(3)] == [True, False, False]
    assert world.listed() == names
    world.check()


def test_an_id_says_whether_it_can_be_computed() -> None:
    """By its thirteenth digit, as a UUID of version 8 or 4; so no random id is ever taken for one that can."""
    keyed = [new_job_id(job(tenant=tenant, idempotency_key=f"{n}")) for tenant in ("red", "blue") for n in range(50)]
    random = [new_job_id(job()) for _ in range(100)]
    assert len({*keyed, *random}) == 200
    assert {(len(each), each[12], may_be_computed(each)) for each in keyed} == {(32, "8", True)}
    assert {(len(each), each[12], may_be_computed(each)) for each in random} == {(32, "4", False)}
    assert new_job_id(job(tenant="red", idempotency_key="0")) == keyed[0]


def test_a_repeat_within_one_call_is_there_once(world: World) -> None:
    accepted = world.add(job(), job(), ids=["twice", "twice"])
    assert [each.created for each in accepted] == [True, False]
    world.check()


def test_a_repeat_finds_the_job_at_any_later_stage(world: World) -> None:
    """Claimed, settled: a late repeat of the request never makes a second job."""
    world.add(job(), ids=["one"])
    worker = world.worker()
    (claim,) = worker.claim()
    assert not world.add(job(), ids=["one"])[0].created
    worker.settle(claim)
    assert not world.add(job(), ids=["one"])[0].created
    assert world.places() == {"one": [f"finished {DEFAULT}"]}


def test_another_body_under_the_same_key_is_a_conflict(world: World) -> None:
    world.add(job(prompt="a cat"), ids=["one"])
    with pytest.raises(IdempotencyConflict, match="idempotency_key: job one"):
        world.add(job(prompt="a dog"), ids=["one"])
    assert decode(world.raw.hget(world.keys.job("one"), "data")).prompt == "a cat"


def test_a_key_is_known_for_its_own_time_after_the_jobs_end(world: World) -> None:
    """Its job's hash is gone by then. A job without a key leaves nothing behind."""
    keyed, other = (job(prompt=prompt, idempotency_key="order-1") for prompt in ("a cat", "a dog"))
    world.add(keyed, ids=["one"])
    world.add(job(), ids=["two"])
    asked = f"{world.keys.own}:asked:"
    assert not world.raw.exists(f"{asked}one")
    world.cancel("one")
    world.cancel("two")
    assert IDEMPOTENCY_TTL_SECONDS - 60 < world.raw.ttl(f"{asked}one") <= IDEMPOTENCY_TTL_SECONDS
    world.raw.delete(world.keys.job("one"))
    assert not world.add(keyed, ids=["one"])[0].created
    with pytest.raises(IdempotencyConflict, match="idempotency_key: job one"):
        world.add(other, ids=["one"])
    assert world.listed() == []
    assert not world.raw.exists(f"{asked}two")
    assert world.do(fingerprints(world.scripts, ["one", "two", "three"])).keys() == {"one", "two"}
    world.raw.delete(f"{asked}one")
    assert world.add(other, ids=["one"])[0].created


def test_jobs_of_one_call_keep_their_order(world: World) -> None:
    ids = world.fill(BATCH_MAX + 3)
    assert world.listed() == ids
    assert world.lines() == {"default": ids}
    world.check()


def test_a_job_for_later_waits_in_rqs_scheduled_registry(world: World) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    name = world.put(not_before=tomorrow)
    assert world.status(name) == "scheduled"
    assert world.places() == {name: [f"scheduled {DEFAULT}"]}
    assert world.raw.zscore(world.keys.registry("scheduled", DEFAULT), name) >= tomorrow.timestamp()
    world.due()
    assert world.promote() is None
    assert world.listed() == [name]
    world.check()


def test_a_job_without_a_model_is_refused() -> None:
    with pytest.raises(JobRefused, match="model"):
        _ = Entry(id="one", job=Job(prompt="a cat")).queue


def test_jobs_of_every_kind_in_one_step_each_get_their_place_in_the_order_they_came(world: World) -> None:
    """Plain ones, of several tenants and queues, with a way out, that lead or follow a call, and for later."""
    later, flight = datetime.now(UTC) + timedelta(hours=1), Flight(form="f" * 64, mode="use")
    kinds = {
        "plain": Entry(id="", job=job()),
        "red": Entry(id="", job=job(tenant="red")),
        "high": Entry(id="", job=job(priority="high")),
        "way": Entry(id="", job=job(), overflow="dall-e-2 1000"),
        "form": Entry(id="", job=job(), flight=flight),
        "later": Entry(id="", job=job(not_before=later)),
    }
    entries = [replace(entry, id=f"{turn}-{kind}") for turn in range(3) for kind, entry in kinds.items()]
    made = world.do(enqueue(world.scripts, entries, result_ttl_seconds=60, timeout_seconds=60))
    assert all(one.created for one in made)
    places = world.check()
    assert world.listed() == [
        "0-plain", "0-red", "0-way", "0-form", "1-plain", "1-red", "1-way", "2-plain", "2-red", "2-way",
    ]  # fmt: skip
    assert world.listed(queue_name("dall-e-3", "high")) == ["0-high", "1-high", "2-high"]
    assert {name for name, where in places.items() if where == [f"scheduled {DEFAULT}"]} == {
        "0-later", "1-later", "2-later",
    }  # fmt: skip
    assert {name for name, where in places.items() if where == [f"deferred {DEFAULT}"]} == {"1-form", "2-form"}
    tenants = world.lines()
    assert tenants["red"] == ["0-red", "1-red", "2-red"]
