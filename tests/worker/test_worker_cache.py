"""Cache and single flight end to end: one call for many, nothing paid twice, nobody left behind by a killed worker."""

import asyncio
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from ready_process import run
from worker_site import WorkerSite, worker_site

from imagequeue.config.job import Job, encode_data
from imagequeue.config.settings import load_settings
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.summary import Summary
from imagequeue.producer import ImageQueue
from imagequeue.queue.auditing import audit
from imagequeue.queue.connection import connect
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.views import JobView
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.process import RunningSimulator
from imagequeue.store.store import open_store

PRICE_NANO = 40_000_000
ASKED: dict[str, object] = {"prompt": "a cat", "model": "dall-e-3", "cache": "use"}
KILLED = -9


@pytest.fixture
def site(server_url: str, simulator: RunningSimulator, tmp_path: Path) -> WorkerSite:
    """Return a site whose dead workers are given up after a second."""
    return changed(worker_site(server_url, simulator, tmp_path), IMAGEQUEUE_LEASE_SECONDS="1")


def changed(site: WorkerSite, **environ: str) -> WorkerSite:
    merged = site.environ | environ
    ours = {name: value for name, value in merged.items() if name.startswith(("IMAGEQUEUE_", "RQ_"))}
    return replace(site, environ=merged, settings=load_settings(ours))


def submit(site: WorkerSite, many: int = 1, **fields: object) -> list[str]:
    with ImageQueue(site.settings) as queue:
        return [handle.id for handle in queue.submit_many([ASKED | fields] * many)]


def views(site: WorkerSite, ids: list[str]) -> list[JobView]:
    with ImageQueue(site.settings) as queue:
        return [queue.get(each) for each in ids]


def calls(site: WorkerSite) -> int:
    return len(site.simulator.control.bill())


def summary(site: WorkerSite) -> Summary:
    async def story() -> Summary:
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        found = await ledger.summary()
        report = await ledger.audit()
        await ledger.aclose()
        assert report.breach is None
        return found

    return asyncio.run(story())


def sound(site: WorkerSite) -> bool:
    async def story() -> bool:
        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        found = await audit(Scripts(client, site.settings.keys), models=["dall-e-3"])
        await client.aclose()
        return not found.findings

    return asyncio.run(story())


def test_a_hundred_that_ask_for_the_same_at_once_make_one_call(site: WorkerSite) -> None:
    ids = submit(site, 100)
    site.burst()
    assert calls(site) == 1
    shown = views(site, ids)
    assert {view.status for view in shown} == {"succeeded"}
    assert len({view.images[0].record.sha256 for view in shown}) == 1
    paid, *free = shown
    assert paid.usd_nano == PRICE_NANO
    document = free[0].as_json()
    assert document["attempts"] == []
    assert document["cost"] == {"usd": "0.000000000", "model": "dall-e-3", "org": "main", "delivery": "cache"}
    assert summary(site).total.saved_nano == 99 * PRICE_NANO
    assert sound(site)


def test_a_follower_says_that_it_waits_and_for_which_job(site: WorkerSite) -> None:
    leader, follower = submit(site, 2)
    view = views(site, [follower])[0]
    assert view.status == "waiting"
    assert view.waiting is not None
    assert (view.waiting.reason, view.waiting.until) == ("joined", None)
    assert leader in view.waiting.detail


def test_a_stored_result_ends_a_job_without_a_worker(site: WorkerSite) -> None:
    made = submit(site)
    site.burst()
    with ImageQueue(site.settings) as queue:
        handle = queue.submit(ASKED, prompt="a cat", priority="low", tags={"campaign": "spring"})
        assert (handle.created, handle.cached) == (True, True)
        view = queue.wait(handle, timeout=0)
    assert view.images[0].record == views(site, made)[0].images[0].record
    assert summary(site).total.cache_hits == 1
    assert calls(site) == 1


def test_a_job_of_rqs_own_client_takes_part(site: WorkerSite) -> None:
    submit(site)
    site.burst()
    job_id, name = uuid4().hex, "dall-e-3.high"
    fields = {"data": encode_data(Job.model_validate(ASKED)), "origin": name, "status": "queued"}
    site.redis.hset(site.settings.keys.job(job_id), mapping={**fields, "created_at": "2026-01-01T00:00:00Z"})
    site.redis.sadd(site.settings.keys.queues, site.settings.keys.queue(name))
    site.redis.rpush(site.settings.keys.queue(name), job_id)
    site.burst()
    assert calls(site) == 1
    assert views(site, [job_id])[0].status == "succeeded"


def test_a_result_whose_image_was_deleted_is_no_answer(site: WorkerSite) -> None:
    made = submit(site)
    site.burst()
    sha256 = views(site, made)[0].images[0].record.sha256

    async def delete() -> None:
        store = open_store(site.settings.store_url)
        assert await store.delete(sha256)
        await store.aclose()

    asyncio.run(delete())
    ids = submit(site, 3)
    site.burst()
    assert calls(site) == 2
    assert {view.status for view in views(site, ids)} == {"succeeded"}


def test_off_neither_reads_nor_writes_and_refresh_replaces(site: WorkerSite) -> None:
    submit(site, cache="off")
    site.burst()
    submit(site)
    site.burst()
    submit(site, cache="off")
    submit(site, cache="refresh")
    site.burst()
    assert calls(site) == 4
    submit(site)
    assert calls(site) == 4


def test_tenants_share_results_only_where_that_is_set(site: WorkerSite) -> None:
    submit(site, tenant="red")
    site.burst()
    submit(site, tenant="blue")
    site.burst()
    assert calls(site) == 2
    shared = changed(site, IMAGEQUEUE_CACHE_SCOPE="shared")
    submit(shared, tenant="red")
    shared.burst()
    assert calls(site) == 3
    hit = submit(shared, tenant="blue")
    assert views(shared, hit)[0].status == "succeeded"
    assert calls(site) == 3


def test_a_stored_result_answers_only_for_its_time(site: WorkerSite) -> None:
    submit(site)
    site.burst()
    (key,) = site.redis.keys(f"{site.settings.keys.own}:cache:*")
    assert 0 < site.redis.ttl(key) <= site.settings.cache_ttl_seconds == 30 * 24 * 3600
    site.redis.delete(key)  # as its time would
    submit(site)
    site.burst()
    assert calls(site) == 2


def test_when_the_call_is_rejected_each_follower_gets_its_own_try_one_after_the_other(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="policy", count=1))
    ids = submit(site, 10)
    site.burst()
    statuses = [view.status for view in views(site, ids)]
    assert (statuses.count("failed"), statuses.count("succeeded")) == (1, 9)
    assert [row["billed"] for row in site.simulator.control.bill()].count(True) == 1


@pytest.mark.parametrize(
    ("point", "most"),
    [
        ("call.after", 2),  # the answer was lost with the worker: that call is in doubt, and another is made
        ("settle.after", 1),
        ("finish.after", 1),
        ("answer.after", 1),
    ],
)
def test_a_worker_killed_at_any_step_leaves_no_follower_behind(site: WorkerSite, point: str, most: int) -> None:
    ids = submit(site, 20)
    environ = site.environ | {"IMAGEQUEUE_CRASH_AT": point, "IMAGEQUEUE_LEASE_SECONDS": "1"}
    killed = run("imagequeue.worker", "--burst", environ=environ)
    assert killed.returncode == KILLED, killed.stderr
    assert sound(site)
    site.burst()
    assert {view.status for view in views(site, ids)} == {"succeeded"}
    assert calls(site) <= most
    total = summary(site).total
    assert total.saved_nano == 19 * PRICE_NANO
    assert sound(site)
