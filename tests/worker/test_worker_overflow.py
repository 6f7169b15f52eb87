"""A job refused for the rate goes on at once on a model it allows, if that has room; what this cost is recorded."""

import asyncio
from pathlib import Path

import pytest
from worker_site import WorkerSite, worker_site

from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.summary import Figures
from imagequeue.queue import pools
from imagequeue.queue.connection import connect
from imagequeue.queue.scripts import Scripts
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.process import RunningSimulator

STANDARD_NANO = 40_000_000
FIRST, OTHER = "dall-e-3", "gpt-image-2"


def refuse(site: WorkerSite, *models: str, count: int | None = 1) -> None:
    """Let the provider refuse these models' next calls."""
    site.simulator.control.set_faults(*(Fault(kind="rate_limit", model=model, count=count) for model in models))


def story(site: WorkerSite, job_id: str) -> list[tuple[str, str]]:
    """Return model and state of the job's attempts."""
    return [(row.model, row.state) for row in site.attempts(job_id)]


def summary(site: WorkerSite) -> Figures:
    """Return the ledger's figures."""

    async def read() -> Figures:
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        found = (await ledger.summary()).total
        await ledger.aclose()
        return found

    return asyncio.run(read())


def test_a_refused_job_goes_on_at_once_and_the_premium_is_recorded(site: WorkerSite) -> None:
    refuse(site, FIRST)
    job_id = site.put(overflow=[OTHER])
    site.burst()
    assert story(site, job_id) == [(FIRST, "voided"), (OTHER, "settled")]
    refused, served = site.attempts(job_id)
    assert refused.ended_at is not None
    assert served.sent_at is not None
    assert (served.sent_at - refused.ended_at).total_seconds() < 5
    figures = summary(site)
    assert figures.saved_overflow_nano == STANDARD_NANO - served.usd_nano
    assert figures.as_json()["savings"]["overflow"] == f"{(STANDARD_NANO - served.usd_nano) / 1e9:.9f}"  # type: ignore[index]
    assert site.field(job_id, "iq_tries") in ("", "0")


def test_a_second_refusal_queues_it_and_both_pools_wait(site: WorkerSite) -> None:
    refuse(site, FIRST, OTHER)
    job_id = site.put(overflow=[OTHER])
    site.burst()
    assert story(site, job_id) == [(FIRST, "voided"), (OTHER, "voided"), (FIRST, "settled")]
    assert (site.pool().refused, site.pool("main|gpt-image").refused) == (1, 1)
    assert summary(site).saved_overflow_nano == 0


def test_jobs_return_to_the_first_choice_when_it_recovers(site: WorkerSite) -> None:
    """While it is paused none of them starts; after it one goes first, and the others follow on the first choice."""
    refuse(site, FIRST)
    ids = [site.put(overflow=[OTHER]) for _ in range(6)]
    site.burst()
    models = [site.attempts(job_id)[-1].model for job_id in ids]
    assert {site.status(job_id) for job_id in ids} == {"finished"}
    assert models.count(OTHER) == 1
    assert site.pool().refused == 1


def test_a_model_that_shares_the_limit_is_no_way_out(site: WorkerSite) -> None:
    refuse(site, OTHER)
    job_id = site.put(model=OTHER, overflow=["gpt-image-2.5-flare"])
    site.burst()
    assert story(site, job_id) == [(OTHER, "voided"), (OTHER, "settled")]


def test_a_pool_that_is_suspended_or_full_is_no_way_out(site: WorkerSite) -> None:
    async def suspend() -> None:
        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        await pools.suspend(Scripts(client, site.settings.keys), "main|gpt-image", reason="weekend")
        await client.aclose()

    asyncio.run(suspend())
    refuse(site, FIRST)
    job_id = site.put(overflow=[OTHER])
    site.burst()
    assert story(site, job_id) == [(FIRST, "voided"), (FIRST, "settled")]


def shut(site: WorkerSite, *, how: str) -> None:
    """Let the first choice's pool be paused for long, suspended, or resumed."""

    async def act() -> None:
        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        scripts, pool = Scripts(client, site.settings.keys), "main|dall-e-3"
        if how == "paused":
            await pools.refuse(scripts, pool, wait_us=600_000_000, reason="slow_down")
        elif how == "suspended":
            await pools.suspend(scripts, pool, reason="insufficient_quota")
        else:
            await pools.resume(scripts, pool)
        await client.aclose()

    asyncio.run(act())


@pytest.mark.parametrize("how", ["paused", "suspended"])
def test_queued_jobs_go_on_with_the_other_model_while_the_first_is_shut(site: WorkerSite, how: str) -> None:
    """None of them meets the refusal itself, and the premium of each is recorded."""
    shut(site, how=how)
    ids = [site.put(overflow=[OTHER]) for _ in range(3)]
    site.burst()
    assert [story(site, job_id) for job_id in ids] == [[(OTHER, "settled")]] * 3
    paid = sum(site.attempts(job_id)[0].usd_nano for job_id in ids)
    assert summary(site).saved_overflow_nano == 3 * STANDARD_NANO - paid
    assert {site.field(job_id, "origin") for job_id in ids} == {"dall-e-3.default"}


def test_a_queued_job_that_the_other_model_refuses_too_is_queued_until_one_of_them_works(site: WorkerSite) -> None:
    shut(site, how="paused")
    refuse(site, OTHER)
    job_id = site.put(overflow=[OTHER])
    site.burst()
    assert story(site, job_id) == [(OTHER, "voided"), (OTHER, "settled")]
    assert site.field(job_id, "iq_tries") in ("", "0")


def test_a_queued_job_whose_ceiling_the_other_model_passes_waits_for_its_first_choice(site: WorkerSite) -> None:
    shut(site, how="suspended")
    job_id = site.put(quality="hd", overflow=[OTHER], max_cost_usd="0.08")
    site.burst()
    assert (site.status(job_id), story(site, job_id)) == ("queued", [])
    shut(site, how="resumed")
    site.burst()
    assert story(site, job_id) == [(FIRST, "settled")]


def test_a_jobs_price_ceiling_holds_for_its_overflow(site: WorkerSite) -> None:
    """A high-quality image of the other model costs more than the job may; it waits for its first choice."""
    refuse(site, FIRST)
    job_id = site.put(quality="hd", overflow=[OTHER], max_cost_usd="0.08")
    site.burst()
    assert story(site, job_id) == [(FIRST, "voided"), (FIRST, "settled")]
    assert site.billed(job_id) == {True: 1, False: 1}


def test_a_tenants_price_ceiling_holds_for_overflow_and_retries(
    server_url: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    """What may have been billed counts: a second call of $0.04 would pass $0.05."""
    caps = '{"shop": {"job_usd": "0.05"}, "club": {"job_usd": "0.08"}}'
    site = worker_site(server_url, simulator, tmp_path, IMAGEQUEUE_TENANT_CAPS=caps)
    too_dear = site.put(tenant="shop", quality="hd")
    site.burst()
    assert (site.error(too_dear)["code"], site.states(too_dear)) == ("max_cost_exceeded", [])
    refuse(site, FIRST)
    overflowing = site.put(tenant="club", quality="hd", overflow=[OTHER])
    site.burst()
    assert story(site, overflowing) == [(FIRST, "voided"), (FIRST, "settled")]
    simulator.control.set_faults(Fault(kind="billed_reset", count=1))
    doubted = site.put(tenant="shop")
    site.burst()
    assert (site.error(doubted)["code"], site.states(doubted)) == ("max_cost_exceeded", ["in_doubt"])
    assert site.billed(doubted) == {True: 1}
