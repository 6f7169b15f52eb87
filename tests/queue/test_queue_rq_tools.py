"""RQ's own tools read true figures: held against what RQ's own worker leaves behind for the same history."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from queue_world import DEFAULT, HIGH, TTL_SECONDS, World
from rq import Queue, SimpleWorker
from rq import Worker as RQWorker
from rq.job import Job as RQJob
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend

from imagequeue.config.job import FUNCTION_NAME
from imagequeue.queue.claims import Ending

RQ_COMMAND = Path(sys.executable).parent / "rq"
OURS = "iq_"


def queue_of(world: World, name: str = DEFAULT) -> Queue:
    """Return RQ's view of a queue."""
    return Queue(name, connection=world.raw, serializer="json")


def fetch(world: World, name: str) -> RQJob:
    """Return RQ's view of a job."""
    return RQJob.fetch(name, connection=world.raw, serializer="json")


def history_by_rq(world: World, outcome: str) -> str:
    """Let RQ's own worker run a job to its end."""
    queue = queue_of(world)
    how: dict[str, Any] = {"result_ttl": TTL_SECONDS, "failure_ttl": TTL_SECONDS, "job_timeout": 300}
    job = queue.enqueue(f"queue_functions.{outcome}", {"prompt": "a cat"}, **how)
    worker = SimpleWorker([queue], connection=world.raw, serializer=JSONSerializer)
    worker.work(burst=True, logging_level="CRITICAL")
    return str(job.id)


def history_by_us(world: World, outcome: str) -> str:
    """Let our calls take a job of RQ's client to the same end."""
    how: dict[str, Any] = {"result_ttl": TTL_SECONDS, "failure_ttl": TTL_SECONDS, "job_timeout": 300}
    job = queue_of(world).enqueue(FUNCTION_NAME, {"prompt": "a cat"}, **how)
    world.take_in()
    worker = world.worker()
    (claim,) = worker.claim()
    error = {"code": "rejected", "message": "no", "retryable": False}
    good = Ending(status="finished", ttl_seconds=TTL_SECONDS, value={"status": "succeeded"}, worked_seconds=1.5)
    bad = Ending(status="failed", ttl_seconds=TTL_SECONDS, error=error, worked_seconds=1.5)
    assert worker.settle(claim, good if outcome == "good" else bad)
    worker.retire()
    return str(job.id)


def view(world: World, name: str) -> dict[str, object]:
    """Return what RQ's tools read of a job, without what must differ: times and names."""
    job, queue = fetch(world, name), queue_of(world)
    result = job.latest_result()
    registries = {
        registry.__name__: name in registry(queue=queue).get_job_ids(cleanup=False)
        for registry in (
            StartedJobRegistry, FinishedJobRegistry, FailedJobRegistry, DeferredJobRegistry, ScheduledJobRegistry,
            CanceledJobRegistry,
        )
    }  # fmt: skip
    assert result is not None
    return {
        "status": job.get_status(),
        "flags": (job.is_finished, job.is_failed, job.is_started, job.is_queued, job.is_canceled),
        "origin": job.origin,
        "timeout": job.timeout,
        "ttls": (job.result_ttl, job.failure_ttl),
        "value": job.return_value(),
        "times": [bool(each) for each in (job.created_at, job.enqueued_at, job.started_at, job.ended_at)],
        "in order": job.created_at <= job.started_at <= job.ended_at,  # type: ignore[operator]  # all are set: above
        "registries": registries,
        "result": (result.type, result.return_value, result.created_at is not None),
        "results": len(job.results()),
        "error": "rejected: no" in (result.exc_string or ""),
        "expires": (0 < world.raw.ttl(world.keys.job(name)) <= TTL_SECONDS, world.raw.ttl(job.key) > 0),
        "list": queue.count,
    }


@pytest.mark.parametrize("outcome", ["good", "bad"])
def test_a_jobs_record_is_that_of_rqs_own_worker(rq_world: World, outcome: str) -> None:
    """Fields, flags, registries, result and expiry, as RQ's classes read them; and no field of RQ's is missing."""
    theirs = history_by_rq(rq_world, outcome)
    expected, fields = view(rq_world, theirs), set(rq_world.raw.hkeys(rq_world.keys.job(theirs)))
    ours = history_by_us(rq_world, outcome)
    found = view(rq_world, ours)
    assert found == expected
    added = {name.decode() for name in set(rq_world.raw.hkeys(rq_world.keys.job(ours))) - fields}
    assert all(name.startswith(OURS) for name in added)
    missing = fields - set(rq_world.raw.hkeys(rq_world.keys.job(ours)))
    assert not missing


def test_a_job_of_our_client_has_the_fields_of_rqs_client(rq_world: World) -> None:
    theirs = queue_of(rq_world).enqueue(FUNCTION_NAME, {"prompt": "a cat"}, result_ttl=TTL_SECONDS, failure_ttl=9)
    ours = rq_world.put()
    fields = {name.decode() for name in rq_world.raw.hkeys(rq_world.keys.job(theirs.id))}
    mine = {name.decode() for name in rq_world.raw.hkeys(rq_world.keys.job(ours))}
    assert {name for name in mine - fields if not name.startswith(OURS)} == set()
    assert fields - mine == set()
    seen = fetch(rq_world, ours)
    assert (seen.func_name, seen.args[0]["prompt"], seen.kwargs) == (FUNCTION_NAME, "a cat", {})
    assert seen.get_position() == 1


def test_counts_and_registries_agree_at_every_stage(rq_world: World) -> None:
    rq_world.fill(7)
    worker = rq_world.worker()
    finished, failed, delayed, parked, cancelled, running = worker.claim(6)
    worker.settle(finished)
    worker.settle(failed, Ending(status="failed", ttl_seconds=TTL_SECONDS, error={"code": "x", "message": "y"}))
    worker.requeue(delayed, delay_us=3_600_000_000)
    worker.requeue(parked, delay_us=-1)
    worker.settle(cancelled, Ending(status="canceled", ttl_seconds=TTL_SECONDS))
    queue = queue_of(rq_world)
    assert queue.count == len(queue.get_job_ids()) == 1
    counted = {
        finished.id: queue.finished_job_registry, failed.id: queue.failed_job_registry,
        delayed.id: queue.scheduled_job_registry, parked.id: queue.deferred_job_registry,
        cancelled.id: queue.canceled_job_registry, running.id: queue.started_job_registry,
    }  # fmt: skip
    assert {name: registry.get_job_ids() for name, registry in counted.items()} == {name: [name] for name in counted}
    assert fetch(rq_world, running.id).worker_name == worker.name
    rq_world.check()


def test_rqs_cleaning_of_registries_takes_nothing_from_a_living_worker(rq_world: World) -> None:
    """Every look at a registry with RQ's classes is a cleaner too; it must not touch what runs."""
    rq_world.fill(3)
    worker = rq_world.worker()
    claims = worker.claim(3)
    queue = queue_of(rq_world)
    for _ in range(3):
        assert queue.started_job_registry.count == 3
        queue.started_job_registry.cleanup()
        queue.scheduled_job_registry.cleanup()
    assert all(worker.settle(claim) for claim in claims)
    rq_world.check()


def test_workers_are_listed_with_their_queues_state_and_counts(rq_world: World) -> None:
    rq_world.put()
    worker = rq_world.worker()
    rq_world.script("renew", worker.name, 60_000_000, "busy", ",".join((DEFAULT, HIGH)), "")
    worker.settle(worker.claim()[0])
    (seen,) = RQWorker.all(connection=rq_world.raw, serializer="json")
    assert (seen.name, seen.get_state(), seen.successful_job_count) == (worker.name, "busy", 1)
    assert set(seen.queue_names()) == {DEFAULT, HIGH}
    assert RQWorker.count(queue=queue_of(rq_world)) == 1
    worker.retire()
    assert RQWorker.all(connection=rq_world.raw, serializer="json") == []


def test_rq_info_shows_queues_jobs_and_workers(rq_world: World) -> None:
    rq_world.fill(3)
    rq_world.fill(2, priority="high")
    worker = rq_world.worker()
    worker.claim()
    command = [str(RQ_COMMAND), "info", "--raw", "--url", rq_world.url]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert any(line.startswith(f"queue {HIGH} 1") for line in shown)
    assert any(line.startswith(f"queue {DEFAULT} 3") for line in shown)
    assert any(worker.name in line and DEFAULT in line for line in shown)


def test_rqs_suspend_and_resume_hold_and_release_us(rq_world: World) -> None:
    rq_world.put()
    worker = rq_world.worker()
    suspend(rq_world.raw)
    assert worker.ask().suspended
    resume(rq_world.raw)
    assert len(worker.claim()) == 1
