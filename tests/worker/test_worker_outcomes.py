"""Every outcome of a call, end to end: real queue, ledger and store, and a provider that misbehaves on request."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from worker_site import WorkerSite, worker_site

from imagequeue.simulator.faults import Fault
from imagequeue.simulator.process import RunningSimulator

WAIT_SECONDS_MAX = 20.0


def test_a_good_answer_is_stored_booked_and_settled(site: WorkerSite) -> None:
    ids = [site.put(priority=priority) for priority in ("low", "default", "high")]
    site.burst()
    for name in ids:
        assert site.status(name) == "finished"
        assert site.states(name) == ["settled"]
        outcome = site.outcome(name)
        assert outcome is not None
        assert outcome.status == "succeeded"
        (image,) = outcome.images
        (path,) = Path(site.settings.data_dir, "images").rglob(f"{image.sha256}*")
        assert path.stat().st_size == image.bytes
    assert sum(row.usd_nano for name in ids for row in site.attempts(name)) == sum(
        row["nano_usd"] for row in site.simulator.control.bill()
    )


@pytest.mark.parametrize("kind", ["rate_limit", "slow_down", "error_in_200"])
def test_a_refused_rate_pauses_the_pool_and_burns_no_attempt(site: WorkerSite, kind: str) -> None:
    site.simulator.control.set_faults(Fault(kind=kind, count=1))  # type: ignore[arg-type]  # one of the kinds
    name = site.put(max_attempts=1)
    site.burst()
    assert site.status(name) == "finished"
    assert site.states(name) == ["voided", "settled"]
    assert site.field(name, "iq_tries") in ("", "0")
    assert site.pool().refused == 1


REFUSALS = {
    "insufficient_quota": "insufficient_quota", "billing_hard_limit": "billing_hard_limit_reached",
    "invalid_key": "invalid_api_key",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "code"), REFUSALS.items())
def test_an_organization_that_cannot_pay_is_suspended_with_the_reason(site: WorkerSite, kind: str, code: str) -> None:
    site.simulator.control.set_faults(Fault(kind=kind))  # type: ignore[arg-type]  # one of the kinds
    name = site.put()
    site.burst()
    assert site.status(name) == "queued"
    assert site.states(name) == ["voided"]
    assert site.pool().suspended.startswith(code)


def test_a_model_that_one_organization_lost_goes_to_the_other(
    server_url: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    site = worker_site(server_url, simulator, tmp_path, orgs=("main", "second"))
    simulator.control.set_faults(Fault(kind="model_not_found", org="main"))
    ids = [site.put() for _ in range(4)]
    site.burst()
    assert {site.status(name) for name in ids} == {"finished"}
    assert {site.attempts(name)[-1].org for name in ids} == {"second"}


def test_a_model_that_is_gone_everywhere_fails_and_names_its_successor(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="model_not_found", model="dall-e-3"))
    name = site.put()
    site.burst()
    assert site.status(name) == "failed"
    assert site.error(name)["code"] == "model_not_served"
    assert "its successor is gpt-image" in site.error(name)["message"]
    assert site.states(name) == ["voided"]


def test_a_model_that_is_gone_everywhere_is_left_for_the_one_the_job_allows(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="model_not_found", model="dall-e-3"))
    name = site.put(overflow=["gpt-image-2"])
    site.burst()
    assert site.status(name) == "finished"
    assert [(row.model, row.state) for row in site.attempts(name)] == [
        ("dall-e-3", "voided"),
        ("gpt-image-2", "settled"),
    ]


def test_a_rejected_job_fails_with_the_providers_code(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="policy", count=1))
    name = site.put()
    site.burst()
    assert site.status(name) == "failed"
    assert site.error(name)["code"] == "content_policy_violation"
    assert site.states(name) == ["voided"]
    outcome = site.outcome(name)
    assert outcome is not None
    assert outcome.status == "failed"


TROUBLES = {
    "conflict": "voided", "overloaded": "voided", "server_error": "in_doubt", "bad_gateway": "in_doubt",
    "gateway_timeout": "in_doubt", "billed_server_error": "in_doubt", "reset": "in_doubt", "billed_reset": "in_doubt",
    "truncated": "in_doubt", "truncated_json": "in_doubt", "html": "in_doubt", "wrong_base64": "in_doubt",
    "not_an_image": "in_doubt", "empty": "in_doubt", "empty_data": "in_doubt",
}  # fmt: skip


def test_every_trouble_is_booked_as_what_it_may_cost_and_tried_again(site: WorkerSite) -> None:
    """One job meets each; all succeed at their second attempt, and no attempt is voided that the bill has."""
    site.simulator.control.set_faults(*(Fault(kind=kind, count=1) for kind in TROUBLES))  # type: ignore[arg-type]
    ids = [site.put() for _ in TROUBLES]
    site.burst()
    assert {site.status(name) for name in ids} == {"finished"}
    first = sorted(site.states(name)[0] for name in ids)
    assert first == sorted(TROUBLES.values())
    assert all(site.states(name)[1:] == ["settled"] for name in ids)
    billed = {row["client_request_id"] for row in site.simulator.control.bill() if row["billed"]}
    for name in ids:
        voided = {f"{name}-{row.n}" for row in site.attempts(name) if row.state == "voided"}
        assert not voided & billed


@pytest.mark.parametrize("kind", ["billed_reset", "billed_gateway_timeout", "billed_server_error"])
def test_a_job_that_must_not_be_doubled_parks_for_a_person(site: WorkerSite, kind: str) -> None:
    """Whether there was no answer or one that says nothing of the bill: 500, 502, 504, 524."""
    site.simulator.control.set_faults(Fault(kind=kind, count=1))  # type: ignore[arg-type]  # one of the kinds
    name = site.put(on_doubt="hold")
    site.burst()
    assert site.status(name) == "deferred"
    assert site.states(name) == ["in_doubt"]
    assert '"doubt"' in site.field(name, "iq_wait")
    assert site.billed(name) == {True: 1}


def test_attempts_that_are_used_up_fail_the_job_as_retryable(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="overloaded"))
    name = site.put(max_attempts=1)
    site.burst()
    assert site.status(name) == "failed"
    assert (site.error(name)["code"], site.error(name)["retryable"]) == ("server_is_overloaded", True)


def start(site: WorkerSite) -> subprocess.Popen[bytes]:
    """Start a worker as a process of its own."""
    command = [sys.executable, "-m", "imagequeue.worker"]
    return subprocess.Popen(command, env=site.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def rq(site: WorkerSite, *words: str) -> str:
    """Return what RQ's own command says."""
    command = [str(Path(sys.executable).parent / "rq"), *words, "--url", site.environ["IMAGEQUEUE_REDIS_URL"]]
    return subprocess.run(command, env=site.environ, capture_output=True, text=True, timeout=60, check=True).stdout


def test_rqs_commands_suspend_show_and_resume_a_worker(site: WorkerSite) -> None:
    rq(site, "suspend")
    name = site.put()
    worker = start(site)
    wait_for("registered", lambda: site.redis.scard(site.settings.keys.workers) == 1)
    assert f"-{worker.pid}-" in rq(site, "info")
    assert site.status(name) == "queued"
    rq(site, "resume")
    wait_for("finished", lambda: site.status(name) == "finished")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(WAIT_SECONDS_MAX) == 0
    assert site.redis.scard(site.settings.keys.workers) == 0


def test_a_worker_told_to_end_waits_for_its_calls(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="drip", seconds=1.0))
    ids = [site.put() for _ in range(5)]
    worker = start(site)
    wait_for("started", lambda: {site.status(name) for name in ids} == {"started"})
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(WAIT_SECONDS_MAX) == 0
    assert {site.status(name) for name in ids} == {"finished"}
    assert all(site.states(name) == ["settled"] for name in ids)


def test_a_second_signal_gives_all_back_at_once_and_fails_none(site: WorkerSite) -> None:
    site.environ["IMAGEQUEUE_CALL_TIMEOUT_SECONDS"] = "60"
    site.simulator.control.set_faults(Fault(kind="billed_hang", seconds=12.0))
    retried, kept = site.put(), site.put(on_doubt="hold")
    worker = start(site)
    wait_for("called", lambda: site.simulator.control.stats()["in_flight"] == 2)
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.1)  # two signals at the same moment are one
    worker.send_signal(signal.SIGTERM)
    told = time.monotonic()
    assert worker.wait(WAIT_SECONDS_MAX) == 0
    assert time.monotonic() - told < 8  # and not when the answers come
    assert site.status(retried) == "queued"
    assert site.status(kept) == "deferred"
    assert site.states(retried) == site.states(kept) == ["in_doubt"]
