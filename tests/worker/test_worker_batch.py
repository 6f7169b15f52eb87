"""Batches end to end: half the price, nothing lost and nothing billed twice, however often a worker dies at it."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import batch_site
import pytest
from ready_process import run
from webhook_receiver import receiver
from worker_money import configure
from worker_site import WorkerSite, worker_site

from imagequeue.config.catalog import load_catalog
from imagequeue.config.catalog.delivery import check_delivery, delivered_as
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Delivery, Job
from imagequeue.config.settings import load_settings
from imagequeue.config.webhooks import new_secret
from imagequeue.ledger.batch_records import unfinished
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.acts import Acts
from imagequeue.queue.connection import connect
from imagequeue.queue.record import JobRecord, read_records
from imagequeue.queue.scripts import Scripts
from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.process import RunningSimulator, running_simulator
from imagequeue.worker.batch_results import Results
from imagequeue.worker.crashpoint import BATCH_POINTS

SECRET = new_secret()
HALF = 20_000_000  # of dall-e-3's $0.04
CATALOG = load_catalog({})
NOW = datetime(2026, 11, 22, tzinfo=UTC)
KILLED_AT = [point for point in BATCH_POINTS if point != "batch.parked.before"]


@pytest.fixture(scope="module")
def _simulator() -> Iterator[RunningSimulator]:
    limits = dict.fromkeys(("dall-e-3", "gpt-image"), GroupLimits())
    config = SimulatorConfig(
        orgs=(SimulatedOrg(name="main", limits=limits),), batch_seconds=0.1, render="fast", image_bytes=0, seed=1
    )
    with running_simulator(config) as running:
        yield running


@pytest.fixture
def simulator(_simulator: RunningSimulator) -> RunningSimulator:
    """Return the module's simulator, as it was at its start."""
    _simulator.control.reset()
    return _simulator


@pytest.fixture
def site(server_url: str, simulator: RunningSimulator, tmp_path: Path) -> WorkerSite:
    """Return a site with one organization."""
    return worker_site(server_url, simulator, tmp_path)


def test_a_webhook_says_that_a_batch_brought_the_images(site: WorkerSite) -> None:
    with receiver() as hooks:
        hook = {"name": "hook", "url": f"{hooks.url}/hook", "secret": SECRET, "allow_private": True}
        site.environ["IMAGEQUEUE_WEBHOOKS"] = json.dumps([hook])
        site.settings = load_settings(
            {name: value for name, value in site.environ.items() if name.startswith(("IMAGEQUEUE_", "RQ_"))}
        )
        (job_id,) = batched(site, 1)
        finish(site)
        data = hooks.wait(1)[0].verified(SECRET)["data"]
    assert (data["id"], data["cost"]["delivery"], data["cost"]["usd"]) == (job_id, "batch", "0.020000000")


def batched(site: WorkerSite, count: int = 3, **words: object) -> list[str]:
    """Enqueue jobs for a batch and let a worker take them up."""
    ids = [site.put(delivery="batch", **words) for _ in range(count)]
    site.burst()
    return ids


def finish(site: WorkerSite) -> None:
    """See the batches through, then let a worker hear of it."""
    asyncio.run(batch_site.drive(site.settings))
    site.burst()


def test_a_batched_job_takes_nothing_of_the_pace(site: WorkerSite) -> None:
    """Neither when it is taken up for the batch nor when its end is heard of: a batch has limits of its own."""
    configure(site, limits={"dall-e-3": {"images_per_minute": 60, "tokens_per_minute": None}})
    ids = batched(site, 2)
    assert ahead_us(site) <= 0
    finish(site)
    assert {site.status(job_id) for job_id in ids} == {"finished"}
    assert ahead_us(site) <= 0


def ahead_us(site: WorkerSite) -> int:
    """Return how far the pool's pace is used up beyond now."""
    seconds, us = site.redis.time()
    used_until = int(site.redis.hget(f"{site.settings.keys.own}:pool:main|dall-e-3", "image_tat"))
    return used_until - (seconds * 1_000_000 + us)


def spent(site: WorkerSite) -> tuple[int, int, int]:
    """Return what the ledger says after its audit: settled, saved by batches, attempts that are open."""

    async def story() -> tuple[int, int, int]:
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        (await ledger.audit()).raise_for_breach()
        assert await ledger.read(unfinished) == ()
        total = (await ledger.summary()).total
        await ledger.aclose()
        return total.settled_nano, total.saved_nano, total.held + total.in_doubt

    return asyncio.run(story())


def assert_done(site: WorkerSite, ids: list[str], *, price: int = HALF) -> None:
    """Every job succeeded with one image at half the price, and the ledger is the bill."""
    for name in ids:
        assert site.status(name) == "finished"
        outcome = site.outcome(name)
        assert outcome is not None
        assert outcome.cost is not None
        assert (outcome.status, len(outcome.images)) == ("succeeded", 1)
        assert (outcome.cost.usd_nano, outcome.cost.delivery) == (price, "batch")
    assert spent(site) == (len(ids) * price, len(ids) * price, 0)
    assert site.simulator.control.bill_totals()["nano_usd"] == len(ids) * price


def test_a_batch_is_held_sent_stored_and_settled_at_half_the_price(site: WorkerSite) -> None:
    ids = batched(site)
    assert [site.status(name) for name in ids] == ["deferred"] * 3
    assert '"reason": "batch"' in site.field(ids[0], "iq_wait")
    (row,) = site.attempts(ids[0])
    assert (row.state, row.delivery, row.upper_bound_nano) == ("held", "batch", HALF)
    finish(site)
    assert_done(site, ids)
    assert site.simulator.control.calls() == []


def test_a_model_priced_by_tokens_costs_half_of_what_the_answer_says(site: WorkerSite) -> None:
    settings = site.settings
    (org,) = settings.orgs
    site.settings = settings.model_copy(update={"orgs": (org.model_copy(update={"limits": {}}),)})
    (name,) = batched(site, 1, model="gpt-image-2", quality="low")
    finish(site)
    (row,) = site.attempts(name)
    assert row.state == "settled"
    assert row.usd_nano == site.simulator.control.bill_totals()["nano_usd"]
    assert spent(site)[1] == row.usd_nano


@pytest.mark.kill
@pytest.mark.parametrize("point", KILLED_AT)
def test_a_worker_killed_at_any_step_leaves_a_batch_that_another_finishes(site: WorkerSite, point: str) -> None:
    ids = batched(site)
    assert batch_site.killed_at(point, site.environ) == -signal.SIGKILL
    finish(site)
    assert_done(site, ids)


def test_a_worker_killed_before_it_parked_the_job_leaves_one_attempt(site: WorkerSite) -> None:
    name = site.put(delivery="batch")
    environ = site.environ | {"IMAGEQUEUE_CRASH_AT": "batch.parked.before", "IMAGEQUEUE_LEASE_SECONDS": "1"}
    ended = run("imagequeue.worker", "--burst", environ=environ)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    site.burst()
    assert site.status(name) == "deferred"
    assert site.states(name) == ["held"]
    finish(site)
    assert_done(site, [name])


@pytest.mark.parametrize("kind", ["upload_reset", "create_reset"])
def test_an_answer_that_is_lost_makes_no_second_batch(site: WorkerSite, kind: str) -> None:
    site.simulator.control.set_faults(Fault(kind=kind, count=1))  # type: ignore[arg-type]  # one of the kinds
    ids = batched(site)
    quick = batch_site.PACE
    batcher_module = sys.modules["imagequeue.worker.batcher"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batcher_module, "FAILURE_SECONDS", 0.05)
        asyncio.run(batch_site.drive(site.settings, quick))
    site.burst()
    assert_done(site, ids)


def test_what_an_expired_batch_leaves_out_goes_into_the_next(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="batch_expires", count=1))
    ids = batched(site, 4)
    finish(site)
    states = sorted(site.states(name)[0] for name in ids)
    assert states == ["settled", "settled", "voided", "voided"]
    finish(site)
    assert_done(site, ids)


def test_a_refused_line_fails_its_job_and_no_other(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="policy", count=1))
    ids = batched(site, 2)
    finish(site)
    assert sorted(site.status(name) for name in ids) == ["failed", "finished"]
    (failed,) = [name for name in ids if site.status(name) == "failed"]
    assert site.states(failed) == ["voided"]
    assert spent(site) == (HALF, HALF, 0)


def test_a_line_that_may_have_been_billed_stays_in_doubt(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="billed_server_error", count=1))
    (name,) = batched(site, 1, max_attempts=1, on_doubt="hold")
    finish(site)
    assert site.states(name) == ["in_doubt"]
    assert site.status(name) == "deferred"
    assert '"reason": "doubt"' in site.field(name, "iq_wait")


def test_a_batch_that_fails_its_validation_is_tried_again_and_then_fails_the_job(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="batch_fails"))
    (name,) = batched(site, 1, max_attempts=2)
    finish(site)
    assert site.status(name) == "deferred"
    finish(site)
    assert site.status(name) == "failed"
    assert site.states(name) == ["voided", "voided"]
    assert spent(site) == (0, 0, 0)


class LateResults(Results):
    """Tells jobs by what was read of them before."""

    def __init__(self, seen: dict[str, JobRecord], scripts: Scripts) -> None:
        self._seen, self._scripts = seen, scripts

    async def records(self, job_ids: Sequence[str]) -> dict[str, JobRecord]:
        """What was read."""
        return self._seen


def test_a_job_cancelled_before_its_batch_is_sent_costs_nothing(site: WorkerSite) -> None:
    kept, cancelled = batched(site, 2)

    async def cancel() -> None:
        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        acted = await Acts(Scripts(client, site.settings.keys), ledger, ttl_seconds=1000).cancel(cancelled)
        assert acted.status == "cancelled"
        await ledger.aclose()
        await client.aclose()

    asyncio.run(cancel())
    finish(site)
    assert site.states(cancelled) == ["voided"]
    assert_done(site, [kept])


def test_a_job_cancelled_while_its_batch_is_told_stays_cancelled(site: WorkerSite) -> None:
    """The batch looked at its jobs, hundreds at a time, and tells them one by one; meanwhile a person cancels one."""
    (cancelled,) = batched(site, 1)

    async def story() -> None:
        async with batch_site.batcher(site.settings) as (_, opened):
            scripts = Scripts(opened.redis, site.settings.keys)
            seen = await read_records(scripts, [cancelled])
            await Acts(scripts, opened.ledger, ttl_seconds=1000).cancel(cancelled)
            assert await LateResults(seen, scripts).tell([cancelled])

    asyncio.run(story())
    assert site.status(cancelled) == "canceled"


def test_a_waiting_job_says_that_it_goes_with_a_batch_and_until_when(site: WorkerSite) -> None:
    (name,) = batched(site, 1)

    async def wait() -> dict[str, object]:
        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        record = (await read_records(Scripts(client, site.settings.keys), [name]))[name]
        await client.aclose()
        return dict(record.wait or {})

    found = asyncio.run(wait())
    until = datetime.fromisoformat(str(found["until"]))
    assert found["reason"] == "batch"
    assert timedelta(hours=24) < until - datetime.now(UTC) < timedelta(hours=25)


@pytest.mark.parametrize(
    ("delivery", "priority", "hours", "expected"),
    [
        ("now", "low", None, "now"),
        ("batch", "high", 1, "batch"),
        ("auto", "low", None, "batch"),
        ("auto", "low", 26, "batch"),
        ("auto", "low", 25, "now"),
        ("auto", "default", None, "now"),
    ],
)
def test_auto_waits_for_a_batch_when_nobody_is_in_a_hurry(
    delivery: Delivery, priority: str, hours: int | None, expected: str
) -> None:
    deadline = None if hours is None else NOW + timedelta(hours=hours)
    job = Job(prompt="a cat", delivery=delivery, deadline=deadline)
    assert delivered_as(job, CATALOG.model("dall-e-3"), priority=priority, now=NOW) == expected


def test_a_batch_is_refused_where_it_cannot_be() -> None:
    with pytest.raises(JobRefused, match="not offered in batches"):
        check_delivery(Job(prompt="a cat", delivery="batch"), CATALOG.model("dall-e-2"))
    edit = Job(prompt="a cat", delivery="batch", operation="edit", images=("sha256:" + "0" * 64,))
    with pytest.raises(JobRefused, match="operation edit"):
        check_delivery(edit, CATALOG.model("gpt-image-2"))
