"""Webhooks end to end: a job ends, its end and its message are one transaction, and the message arrives."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ready_process import run
from webhook_receiver import Receiver, receiver
from worker_site import WorkerSite, worker_site

from imagequeue.config.settings import load_settings
from imagequeue.config.webhooks import new_secret
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.process import RunningSimulator

SECRET = new_secret()
BURSTS_SECONDS_MAX = 60.0
PAST = "2020-01-01T00:00:00Z"


@pytest.fixture
def hooks() -> Iterator[Receiver]:
    """Yield a receiver."""
    with receiver() as running:
        yield running


@pytest.fixture
def site(server_url: str, simulator: RunningSimulator, hooks: Receiver, tmp_path: Path) -> WorkerSite:
    """Return a site that tells the receiver of every job."""
    made = worker_site(server_url, simulator, tmp_path)
    hook = {"name": "hook", "url": f"{hooks.url}/hook", "secret": SECRET, "allow_private": True}
    made.environ["IMAGEQUEUE_WEBHOOKS"] = json.dumps([hook])
    made.environ["IMAGEQUEUE_WEBHOOK_TIMEOUT_SECONDS"] = "1"
    made.environ["IMAGEQUEUE_PUBLIC_URL"] = "https://images.example"
    ours = {name: value for name, value in made.environ.items() if name.startswith(("IMAGEQUEUE_", "RQ_"))}
    made.settings = load_settings(ours)
    return made


def payload(hooks: Receiver, number: int = 0) -> dict[str, Any]:
    """Return a message that came, verified."""
    return hooks.wait(number + 1)[number].verified(SECRET)


def burst_until(site: WorkerSite, hooks: Receiver, count: int) -> None:
    """Run workers until so many messages have come: a dead worker's message is due again when its lease ends."""
    deadline = time.monotonic() + BURSTS_SECONDS_MAX
    while len(hooks.messages) < count:
        assert time.monotonic() < deadline, "no message came"
        site.burst()


def until(happened: Callable[[], bool]) -> None:
    """Return once something has happened."""
    deadline = time.monotonic() + BURSTS_SECONDS_MAX
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_success_is_told_with_its_images_cost_and_attempts_but_not_the_prompt(
    site: WorkerSite, hooks: Receiver
) -> None:
    job_id = site.put(prompt="a secret cat", tenant="shop", tags={"order": "7"})
    site.burst()
    told = payload(hooks)
    assert set(told) == {"type", "timestamp", "data"}
    assert told["type"] == "job.succeeded"
    data = told["data"]
    assert (data["id"], data["status"]) == (job_id, "succeeded")
    assert (data["job"]["tenant"], data["job"]["tags"], data["job"]["model"]) == ("shop", {"order": "7"}, "dall-e-3")
    (image,) = data["images"]
    assert image["url"] == f"https://images.example/v1/images/{image['sha256']}"
    assert data["cost"]["usd"] == "0.040000000"
    (attempt,) = data["attempts"]
    assert (attempt["state"], attempt["usd"], attempt["status_code"]) == ("settled", "0.040000000", 200)
    assert data["timings"]["enqueued"] is not None
    assert data["timings"]["call_s"] > 0
    assert "prompt" not in data["job"]


def test_a_failure_is_told_with_its_error(site: WorkerSite, hooks: Receiver) -> None:
    site.simulator.control.set_faults(Fault(kind="policy", count=1))
    site.put()
    site.burst()
    data = payload(hooks)["data"]
    assert data["status"] == "failed"
    assert data["error"]["code"]
    assert [attempt["state"] for attempt in data["attempts"]] == ["voided"]


def test_an_expiry_is_told_with_its_tenant(site: WorkerSite, hooks: Receiver) -> None:
    site.put(tenant="shop", deadline=PAST)
    site.burst()
    told = payload(hooks)
    assert (told["type"], told["data"]["status"]) == ("job.expired", "expired")
    assert told["data"]["job"]["tenant"] == "shop"
    assert told["data"]["attempts"] == []


def test_a_cancellation_before_the_call_is_told(site: WorkerSite, hooks: Receiver) -> None:
    job_id = site.put(tenant="shop")
    for _ in range(2):
        ended = run("imagequeue.producer.main", "jobs", "cancel", job_id, environ=site.environ)
        assert ended.returncode == 0, ended.stderr
    site.burst()
    told = payload(hooks)
    assert (told["type"], told["data"]["job"]["tenant"]) == ("job.cancelled", "shop")
    assert len(hooks.messages) == 1


def test_a_job_over_its_own_price_ceiling_is_told(site: WorkerSite, hooks: Receiver) -> None:
    site.put(max_cost_usd="0.01")
    site.burst()
    assert payload(hooks)["data"]["error"]["code"] == "max_cost_exceeded"


def test_a_failed_job_that_goes_again_and_succeeds_is_told_twice(site: WorkerSite, hooks: Receiver) -> None:
    site.simulator.control.set_faults(Fault(kind="policy", count=1))
    job_id = site.put()
    site.burst()
    ended = run("imagequeue.producer.main", "jobs", "retry", job_id, environ=site.environ)
    assert ended.returncode == 0, ended.stderr
    site.burst()
    hooks.wait(2)
    assert [payload(hooks, number)["type"] for number in (0, 1)] == ["job.failed", "job.succeeded"]
    assert [one["state"] for one in payload(hooks, 1)["data"]["attempts"]] == ["voided", "settled"]


@pytest.mark.kill
def test_a_worker_killed_in_a_delivery_leaves_it_to_another(site: WorkerSite, hooks: Receiver) -> None:
    """The receiver has the message and never answered: it gets it again, under the same id."""
    hooks.go.clear()
    job_id = site.put()
    command = [sys.executable, "-m", "imagequeue.worker", "--burst"]
    with subprocess.Popen(command, env=site.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
        hooks.wait(1)
        until(lambda: site.status(job_id) == "finished")  # the job does not wait for its receiver
        worker.send_signal(signal.SIGKILL)
    hooks.go.set()
    burst_until(site, hooks, 2)
    first, second = hooks.wait(2)[:2]
    assert first.id == second.id
    assert second.verified(SECRET)["data"]["id"] == job_id
    assert site.states(job_id) == ["settled"]


@pytest.mark.kill
@pytest.mark.parametrize("point", ["settle.after", "finish.after"])
def test_a_worker_killed_at_the_end_of_a_job_tells_it_all_the_same(
    site: WorkerSite, hooks: Receiver, point: str
) -> None:
    job_id = site.put()
    environ = {**site.environ, "IMAGEQUEUE_CRASH_AT": point, "IMAGEQUEUE_LEASE_SECONDS": "1"}
    killed = run("imagequeue.worker", "--burst", environ=environ)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    burst_until(site, hooks, 1)
    assert {message.verified(SECRET)["data"]["id"] for message in hooks.messages} == {job_id}
    assert len({message.id for message in hooks.messages}) == 1
