"""Every fault of the provider, then its bill: nothing stays in doubt, and the ledger is the bill to the nano-dollar."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from worker_site import WorkerSite, worker_site

from imagequeue.config.orgs import Org
from imagequeue.ledger.api import Ending, Held, HoldRequest
from imagequeue.ledger.bill import Bill, BilledModel
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.provider_reports import NoReport, fetch_bill
from imagequeue.ledger.reconciliations import DayState, since_day, states
from imagequeue.ledger.reconciling import DayReport, reconcile_day
from imagequeue.ledger.schedule import end_of
from imagequeue.queue.connection import connect
from imagequeue.queue.scripts import Scripts
from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.faults import Fault, Kind, Refusal, Spoiling
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import RunningSimulator, running_simulator
from imagequeue.worker import sweeper
from imagequeue.worker.reconciler import Reconciler
from imagequeue.worker.sweeper import Sweeper

MODELS = ("dall-e-3", "gpt-image-2")
STOPPING = ("insufficient_quota", "billing_hard_limit", "invalid_key", "unverified", "model_not_found")
PAUSING = ("rate_limit", "slow_down", "error_in_200", "overloaded")
OTHERS = [kind for kind in (*get_args(Refusal), *get_args(Spoiling)) if kind not in (*STOPPING, *PAUSING)]
BYTES = {"huge_body": 70_000_000, "gzip_bomb": 1_000_000}
CALL_SECONDS = 2.0
DAY = "2026-11-20"
HELD_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def _simulator() -> Iterator[RunningSimulator]:
    limits = dict.fromkeys(("dall-e-3", "gpt-image"), GroupLimits())
    orgs = tuple(SimulatedOrg(name=name, limits=limits) for name in ("main", "second"))
    config = SimulatorConfig(orgs=orgs, latency=Latency(seconds=0.02), render="fast", image_bytes=0, seed=1)
    with running_simulator(config) as running:
        yield running


@pytest.fixture
def site(server_url: str, _simulator: RunningSimulator, tmp_path: Path) -> WorkerSite:
    """Return a site whose organization has an admin key."""
    _simulator.control.reset()
    made = worker_site(server_url, _simulator, tmp_path)
    (org,) = made.settings.orgs
    limits = {name: {"images_per_minute": 60_000, "tokens_per_minute": None} for name in MODELS}
    keyed = Org.model_validate({**org.model_dump(), "admin_key": "sk-admin-sim-main", "limits": limits})
    changes = {"orgs": (keyed,), "call_timeout_seconds": CALL_SECONDS}
    made.settings = made.settings.model_copy(update=changes)
    return made


def faults(*kinds: Kind) -> list[Fault]:
    return [Fault(kind=kind, count=2, seconds=_seconds(kind), bytes=BYTES.get(kind, 1_000_000)) for kind in kinds]


def _seconds(kind: Kind) -> float:
    return 0.1 if kind in ("hang", "billed_hang", "drip") else 0.0


def reconciled(site: WorkerSite, *, times: int = 2) -> list[DayReport]:
    """Reconcile the days of the test, several times; return the last reports."""

    async def story() -> list[DayReport]:
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        today = datetime.now(UTC)
        days = [(today - timedelta(days=1)).date().isoformat(), today.date().isoformat()]
        (org,) = site.settings.orgs
        for _ in range(times):
            reports = [await reconcile_day(ledger, org, day, fetch_bill, complete=True) for day in days]
        (await ledger.audit()).raise_for_breach()
        await ledger.aclose()
        return reports

    return asyncio.run(story())


def sums(site: WorkerSite) -> tuple[int, int, int]:
    """Return what the ledger says: settled and corrected, held attempts, attempts in doubt."""

    async def story() -> tuple[int, int, int]:
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        total = (await ledger.summary()).total
        await ledger.aclose()
        return total.settled_nano + total.corrected_nano, total.held, total.in_doubt

    return asyncio.run(story())


@pytest.mark.parametrize("kinds", [OTHERS[::2], OTHERS[1::2], PAUSING, STOPPING], ids=lambda kinds: kinds[0])
@pytest.mark.parametrize("model", MODELS)
def test_after_any_fault_the_ledger_is_the_bill(site: WorkerSite, model: str, kinds: list[Kind]) -> None:
    control = site.simulator.control
    control.set_faults(*faults(*kinds))
    for at in range(2 * len(kinds) + 4):
        site.put(model=model, max_attempts=1, quality=("hd" if at % 3 == 0 else None) if model == "dall-e-3" else None)
    site.burst()
    site.put(model="dall-e-3")  # some money on the bill, whatever the faults have left
    control.set_faults()
    site.burst()
    reports = reconciled(site)
    assert [report.warning for report in reports if report.billed_nano] == [None]
    assert sum(report.unexplained_nano for report in reports) == 0
    assert reports[-1].booked == ()  # the second time there is nothing to book
    assert sums(site) == (control.bill_totals()["nano_usd"], 0, 0)


def test_an_admin_key_of_another_organization_books_nothing(site: WorkerSite) -> None:
    site.simulator.control.set_faults(Fault(kind="billed_reset", count=1))
    for _ in range(2):
        site.put(max_attempts=1)
    site.burst()
    (org,) = site.settings.orgs
    other = Org.model_validate({**org.model_dump(), "admin_key": "sk-admin-sim-second"})
    site.settings = site.settings.model_copy(update={"orgs": (other,)})
    before = sums(site)
    assert [report.warning is not None for report in reconciled(site)][-1]
    assert sums(site) == before
    assert before[2] == 1


class StandingClock:
    """A clock that stands where the test puts it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """Return the moment."""
        return self.at


def request(job_id: str, **changes: str) -> HoldRequest:
    words = {"job_id": job_id, "lease_token": "w-1", "org": "main", "model": "dall-e-3", "tenant": "default"}
    return HoldRequest(
        **(words | changes),  # type: ignore[arg-type]  # all of them are text
        priority="default",
        operation="generation",
        images=1,
        upper_bound_nano=40,
        catalog_version="test",
    )


async def doubted(ledger: Ledger, job_id: str) -> int:
    """Return an attempt in doubt, held and given up at the clock's moment."""
    held = await ledger.hold(request(job_id))
    assert isinstance(held, Held)
    await ledger.doubt(held.attempt_id, Ending(ended_at=HELD_AT, sent_at=HELD_AT))
    return held.attempt_id


ORG = Org.model_validate({"name": "main", "base_url": "http://127.0.0.1:9/v1", "admin_key": "sk-admin"})


async def state(ledger: Ledger, clock: StandingClock) -> list[DayState]:
    return list(await ledger.read(lambda connection: states(connection, "main", since_day(clock.now()))))


def test_of_many_workers_one_reconciles_a_day_and_the_next_day_s_time_is_kept(tmp_path: Path) -> None:
    asked: list[str] = []

    async def fetch(_org: Org, day: str) -> Bill:
        asked.append(day)
        await asyncio.sleep(0)
        return Bill(models={"dall-e-3": BilledModel(usd_nano=40)})

    async def story() -> None:
        clock = StandingClock(HELD_AT)
        ledgers = [await Ledger.open(f"sqlite:///{tmp_path}/l.db", clock=clock) for _ in range(4)]
        await doubted(ledgers[0], "a")
        workers = [Reconciler(ledger=ledger, orgs=[ORG], clock=clock, fetch=fetch) for ledger in ledgers]
        clock.at = end_of(DAY) + timedelta(hours=5)
        assert await workers[0].look() == []
        clock.at = end_of(DAY) + timedelta(hours=7)
        reports = [report for found in await asyncio.gather(*(one.look() for one in workers)) for report in found]
        assert asked == [DAY]
        assert (len(reports), reports[0].in_doubt) == (1, 0)
        assert await workers[1].look() == []
        (found,) = await state(ledgers[0], clock)
        assert (found.billed_nano, found.in_doubt, found.note, found.is_open) == (40, 0, "", False)
        for ledger in ledgers:
            await ledger.aclose()

    asyncio.run(story())


def test_a_provider_that_does_not_answer_is_asked_again_later_and_the_reason_is_kept(tmp_path: Path) -> None:
    answers: list[Bill | Exception] = [NoReport("503"), TimeoutError(), Bill(models={}, proven=True)]

    async def fetch(_org: Org, _day: str) -> Bill:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def story() -> None:
        clock = StandingClock(HELD_AT)
        ledger = await Ledger.open(f"sqlite:///{tmp_path}/l.db", clock=clock)
        await doubted(ledger, "a")
        worker = Reconciler(ledger=ledger, orgs=[ORG], clock=clock, fetch=fetch)
        clock.at = end_of(DAY) + timedelta(hours=31)
        assert await worker.look() == []
        (failed,) = await state(ledger, clock)
        assert (failed.failures, failed.note, failed.is_open) == (1, "503", True)
        assert failed.next_at == clock.at + timedelta(seconds=300)
        assert await worker.look() == []
        assert len(answers) == 2
        clock.at += timedelta(seconds=301)
        assert await worker.look() == []
        clock.at += timedelta(seconds=601)
        (report,) = await worker.look()
        assert report.in_doubt == 0
        (done,) = await state(ledger, clock)
        assert (done.failures, done.note) == (0, "")
        await ledger.aclose()

    asyncio.run(story())


def test_a_worker_that_died_at_it_leaves_the_day_to_another_after_the_deadline(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def never(_org: Org, _day: str) -> Bill:
        asked.set()
        return await asyncio.Future()

    async def fetch(_org: Org, _day: str) -> Bill:
        return Bill(models={"dall-e-3": BilledModel(usd_nano=40)})

    async def story() -> None:
        clock = StandingClock(HELD_AT)
        ledger = await Ledger.open(f"sqlite:///{tmp_path}/l.db", clock=clock)
        await doubted(ledger, "a")
        clock.at = end_of(DAY) + timedelta(hours=7)
        dying = asyncio.create_task(Reconciler(ledger=ledger, orgs=[ORG], clock=clock, fetch=never).look())
        worker = Reconciler(ledger=ledger, orgs=[ORG], clock=clock, fetch=fetch)
        async with asyncio.timeout(10):
            await asked.wait()
        dying.cancel()
        assert await worker.look() == []
        clock.at += timedelta(seconds=301)
        assert len(await worker.look()) == 1
        await ledger.aclose()

    asyncio.run(story())


def test_attempts_left_held_go_in_doubt_unless_their_job_is_under_way(site: WorkerSite) -> None:
    waiting = site.put()

    async def story() -> None:
        clock = StandingClock(HELD_AT)
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value(), clock=clock)
        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        for job_id, delivery in ((waiting, "now"), ("gone", "now"), ("batched", "batch")):
            assert isinstance(await ledger.hold(request(job_id, delivery=delivery)), Held)
        scripts = Scripts(client, site.settings.keys)
        looking = Sweeper(ledger=ledger, scripts=scripts, clock=clock, call_seconds=10)
        clock.at += timedelta(seconds=79)
        assert await looking.look() == 0
        clock.at += timedelta(seconds=2)
        assert await looking.look() == 1
        (left,) = await ledger.in_doubt()
        assert (left.job_id, left.error_code) == ("gone", "worker_lost")
        await client.aclose()
        await ledger.aclose()

    asyncio.run(story())


def test_many_held_attempts_of_jobs_under_way_hide_no_one_that_was_left(
    site: WorkerSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker died with hundreds in hand, and their jobs wait in line, for days perhaps: their pool is suspended."""
    monkeypatch.setattr(sweeper, "SWEPT_MAX", 2)
    waiting = [site.put() for _ in range(4)]

    async def story() -> None:
        clock = StandingClock(HELD_AT)
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value(), clock=clock)
        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        for job_id in (*waiting, "gone", "gone too"):
            assert isinstance(await ledger.hold(request(job_id)), Held)
        scripts = Scripts(client, site.settings.keys)
        looking = Sweeper(ledger=ledger, scripts=scripts, clock=clock, call_seconds=10)
        clock.at += timedelta(seconds=81)
        assert [await looking.look() for _ in range(3)] == [0, 0, 2]
        assert isinstance(await ledger.hold(request("gone as well")), Held)
        clock.at += timedelta(seconds=81)
        assert sum([await looking.look() for _ in range(4)]) == 1
        await client.aclose()
        await ledger.aclose()

    asyncio.run(story())
