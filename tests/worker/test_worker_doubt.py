"""A job that must not be doubled, whose worker dies after its doubt was booked and before the job was parked."""

import asyncio
import signal
from pathlib import Path

import pytest
from ready_process import run
from worker_money import with_ledger
from worker_site import WorkerSite, worker_site

from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.acts import Acts
from imagequeue.queue.connection import connect
from imagequeue.queue.scripts import Scripts
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.process import RunningSimulator
from imagequeue.worker.crashpoint import VARIABLE


@pytest.fixture
def site(server_url: str, simulator: RunningSimulator, tmp_path: Path) -> WorkerSite:
    """Return a site whose first call is billed and answered with an error."""
    simulator.control.set_faults(Fault(kind="billed_server_error", count=1))
    return worker_site(server_url, simulator, tmp_path, IMAGEQUEUE_LEASE_SECONDS="1")


def doubted_and_killed(site: WorkerSite) -> str:
    """Return a job whose worker was killed right after it had booked the doubt."""
    job_id = site.put(on_doubt="hold")
    killed = run("imagequeue.worker", environ={**site.environ, VARIABLE: "ending.after"})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (site.status(job_id), site.states(job_id)) == ("started", ["in_doubt"])
    return job_id


def retry(site: WorkerSite, job_id: str) -> None:
    """Let a person decide that the job goes again."""

    async def story() -> None:
        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        await Acts(Scripts(client, site.settings.keys), ledger, ttl_seconds=1000).retry(job_id)
        await ledger.aclose()
        await client.aclose()

    asyncio.run(story())


def test_the_next_delivery_parks_it_and_a_person_lets_it_go_on(site: WorkerSite) -> None:
    job_id = doubted_and_killed(site)
    site.burst()
    assert (site.status(job_id), site.states(job_id)) == ("deferred", ["in_doubt", "voided"])
    assert site.billed(job_id) == {True: 1}
    assert '"doubt"' in site.field(job_id, "iq_wait")
    retry(site, job_id)
    site.burst()
    assert (site.status(job_id), site.states(job_id)) == ("finished", ["in_doubt", "voided", "settled"])


def test_a_later_doubt_parks_it_again_although_an_earlier_one_was_decided(site: WorkerSite) -> None:
    job_id = doubted_and_killed(site)
    site.burst()
    retry(site, job_id)
    site.simulator.control.set_faults(Fault(kind="billed_server_error", count=1), Fault(kind="rate_limit", count=1))
    site.burst()
    assert site.status(job_id) == "deferred"
    assert site.states(job_id).count("in_doubt") == 2
    assert site.billed(job_id)[True] == 2


def test_a_doubt_that_was_resolved_holds_nothing_back(site: WorkerSite) -> None:
    job_id = doubted_and_killed(site)
    (attempt,) = site.attempts(job_id)
    assert with_ledger(
        site, lambda ledger: ledger.resolve(attempt.attempt_id, "not_billed", reason="not on the bill", by="a test")
    )
    site.burst()
    assert (site.status(job_id), site.states(job_id)) == ("finished", ["reconciled", "settled"])
