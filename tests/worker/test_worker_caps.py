"""Caps of each kind, end to end: the job that meets one says which and until when, and goes on when it may."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from ready_process import run
from structlog.testing import capture_logs
from worker_money import (
    WAIT_SECONDS_MAX,
    a_minute_passes,
    configure,
    reset,
    shift_clocks,
    view,
    with_ledger,
    work_until,
)
from worker_site import WorkerSite

from imagequeue.config.clock import SystemClock
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.moments import start_of_next_day, start_of_next_month
from imagequeue.ledger.set_caps import SetCap
from imagequeue.queue.connection import connect
from imagequeue.queue.scripts import Scripts
from imagequeue.worker import main
from imagequeue.worker.cap_watch import CapWatch

CALL_USD = "0.04"
"""What a call costs: one image of dall-e-3 in standard quality."""
Raise = Callable[[WorkerSite, str], None]
Turn = Callable[[str], datetime]


def org_month(site: WorkerSite, usd: str) -> None:
    """Set the organization's cap."""
    configure(site, monthly_cap_usd=usd)


def of_tenant(name: str) -> Raise:
    """Return what sets the tenant's cap of that name."""
    return lambda site, usd: reset(site, IMAGEQUEUE_TENANT_CAPS=f'{{"default": {{"{name}": "{usd}"}}}}')


CAPS: list[tuple[str, Raise, Turn | None]] = [
    ("org:{month}:main", org_month, start_of_next_month),
    ("tenant:{month}:default", of_tenant("month_usd"), start_of_next_month),
    ("tenant:{day}:default", of_tenant("day_usd"), start_of_next_day),
    ("tenant:total:default", of_tenant("total_usd"), None),
]


@pytest.mark.parametrize(("scope", "set_cap", "turn"), CAPS, ids=["org-month", "month", "day", "total"])
def test_a_job_waits_for_its_cap_and_goes_on_when_it_is_raised_or_starts_anew(
    site: WorkerSite, monkeypatch: pytest.MonkeyPatch, scope: str, set_cap: Raise, turn: Turn | None
) -> None:
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    named = scope.format(day=today, month=today[:7])
    anew = None if turn is None else turn(today)
    set_cap(site, CALL_USD)
    work_until(site, "finished", site.put())
    second = site.put()
    site.burst()
    waits(site, second, f"{named}: 0.040000000 of 0.040000000 dollars are used or held", anew)
    set_cap(site, "0.08")
    a_minute_passes(site)
    work_until(site, "finished", second)
    if anew is None:
        return
    last = site.put()
    site.burst()
    waits(site, last, f"{named}: 0.080000000 of 0.080000000", anew)
    shift_clocks(monkeypatch, anew - datetime.now(UTC) + timedelta(seconds=1))
    a_minute_passes(site)
    work_until(site, "finished", last)
    assert site.attempts(last)[-1].held_at >= anew


@pytest.mark.parametrize(
    ("set_cap", "words"),
    [(org_month, ("--org", "main", "--month")), (of_tenant("total_usd"), ("--tenant", "default", "--total"))],
    ids=["org-month", "tenant-total"],
)
def test_a_cap_that_is_raised_lets_waiting_jobs_go_on_in_workers_that_run(
    site: WorkerSite, set_cap: Raise, words: tuple[str, ...]
) -> None:
    """No restart and no minute: the worker that met the cap makes the next call within seconds of the command."""
    set_cap(site, CALL_USD)

    async def finished(job_id: str) -> None:
        while site.status(job_id) != "finished":  # noqa: ASYNC110 - what changes is in another process
            await asyncio.sleep(0.02)

    async def story() -> float:
        worker = asyncio.create_task(main._work(site.settings, main.WorkerOptions()))
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await finished(await asyncio.to_thread(site.put))
            second = await asyncio.to_thread(site.put)
            while not held_back(site):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
            await asyncio.to_thread(imagequeue, site, "ledger", "caps", "set", *words, "0.08", "--reason", "more")
            set_at = time.monotonic()
            await finished(second)
            taken_seconds = time.monotonic() - set_at
        signal.raise_signal(signal.SIGTERM)  # which the worker listens to
        await worker
        return taken_seconds

    assert asyncio.run(story()) < 15


def held_back(site: WorkerSite) -> bool:
    """Whether a pool or a tenant waits for money."""
    own = site.settings.keys.own
    pools = [
        site.redis.hget(f"{own}:pool:{name.decode()}", "suspended") for name in site.redis.smembers(f"{own}:pools")
    ]
    return any(pools) or bool(site.redis.hgetall(f"{own}:held"))


def waits(site: WorkerSite, job_id: str, why: str, until: datetime | None) -> None:
    """Hold the job's view against what it waits for; nothing was called for it."""
    assert (site.status(job_id), site.states(job_id)) == ("queued", [])
    waiting = view(site, job_id).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.until) == ("budget", until)
    assert why in waiting.detail


def test_a_job_over_its_own_ceiling_fails_and_says_so(site: WorkerSite) -> None:
    name = site.put(max_cost_usd="0.039999999")
    site.burst()
    assert (site.status(name), site.states(name)) == ("failed", [])
    error = site.error(name)
    assert error["code"] == "max_cost_exceeded"
    assert f"job:total:{name}: 0.000000000 of 0.039999999 dollars" in error["message"]


def test_each_warning_is_logged_once_whoever_looks(site: WorkerSite) -> None:
    org_month(site, "0.05")
    work_until(site, "finished", site.put())

    async def look(ledger: Ledger) -> int:
        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        watch = CapWatch(ledger=ledger, scripts=Scripts(client, site.settings.keys), clock=SystemClock())
        told = sum(await asyncio.gather(watch.look(), watch.look()))
        await client.aclose()
        return told

    with capture_logs() as logs:
        assert [with_ledger(site, look) for _ in range(2)] == [2, 0]
    assert [(line["percent"], line["used_usd"], line["limit_usd"]) for line in logs] == [
        (50, "0.040000000", "0.050000000"),
        (80, "0.040000000", "0.050000000"),
    ]


def test_status_shows_the_caps_that_stand_and_what_is_used_of_them(site: WorkerSite) -> None:
    org_month(site, "0.05")
    work_until(site, "finished", site.put())
    wanted = SetCap(kind="tenant_total", name="default", state="limit", limit_nano=10**9, by="ann", reason="")
    assert with_ledger(site, lambda ledger: ledger.submit(wanted))
    shown = json.loads(status(site, "--json"))["caps"]
    parts = ("kind", "name", "used_share", "settled_usd", "held_usd", "in_doubt_usd", "source")
    assert [tuple(cap[part] for part in parts) for cap in shown] == [
        ("org_month", "main", 0.8, "0.040000000", "0.000000000", "0.000000000", "configured"),
        ("tenant_total", "default", 0.04, "0.040000000", "0.000000000", "0.000000000", "set"),
    ]
    assert [warning["percent"] for warning in shown[0]["warnings"]] == [50, 80]
    told = status(site)
    assert "80 % since" in told
    assert "set by ann" in told


def status(site: WorkerSite, *words: str) -> str:
    """Return what `imagequeue status` prints."""
    return imagequeue(site, "status", *words)


def imagequeue(site: WorkerSite, *words: str) -> str:
    """Return what a command prints."""
    ended = run("imagequeue.producer.main", *words, environ={**site.environ, "COLUMNS": "300"})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_calls_whose_money_is_held_are_made_although_the_next_one_meets_the_cap(site: WorkerSite) -> None:
    """A crowd meets the organization's cap at once: it is used to within one image, and no hold is given back."""
    org_month(site, "0.21")
    for _ in range(40):
        site.put()
    site.burst()
    summary = with_ledger(site, lambda ledger: ledger.summary()).total
    assert (summary.settled_nano, summary.held_nano, summary.voided_nano) == (200_000_000, 0, 0)
