"""Any history leaves the books as a plain model of it says.

Of holds, endings, restarts, decisions, credits, caps that are changed, bills, months that turn, archived details.

LEDGER_HISTORIES=300 makes so many histories on each database and audits after every step; without it there are few,
audited at their ends.
"""

import asyncio
import os
import shutil
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from ledger_databases import execute, of_database
from ledger_values import ManualClock, ending, image, request, settlement

from imagequeue.config.money import parse_usd
from imagequeue.config.orgs import Org
from imagequeue.ledger.api import AlreadyDone, CacheHit, Cap, CapReached, Held, JobFacts, JobFailure, Settlement
from imagequeue.ledger.bill import Bill, BilledModel
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.moments import start_of_next_month
from imagequeue.ledger.reconciling import DayReport, reconcile_day
from imagequeue.ledger.retention import Archived, months_to_archive
from imagequeue.ledger.set_caps import SetCap

CAP_NANO = 40
ORG_CAP_NANO = 50
ORG = Org(name="main", base_url="http://127.0.0.1:1/v1")
HISTORIES = int(os.environ.get("LEDGER_HISTORIES", "0"))
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
JOBS = st.sampled_from(["a", "b", "c"])
AMOUNTS = st.integers(0, 16)
FAILURE = JobFailure(code="failed", message="for good")
Answer = TypeVar("Answer")


@dataclass
class ModelAttempt:
    """What the model knows of an attempt."""

    job: str
    bound: int
    state: str = "held"
    cost: int = 0
    delivery: str = "now"
    day: str = ""
    answered: str = ""
    draws: tuple[tuple["ModelGrant", int, int], ...] = ()

    def end(self, cost: int, *, images: bool, day: str) -> None:
        """Book the end of a call: one that credits pay for costs what they did, or gives them back."""
        brought = images or cost
        if self.draws and not brought:
            for grant, count, paid in self.draws:
                grant.left, grant.paid_left = grant.left + count, grant.paid_left + paid
        self.cost = self.bound if self.draws and brought else cost
        self.answered = day

    @property
    def used(self) -> int:
        """What caps count of it."""
        return self.bound if self.state in ("held", "in_doubt") else self.cost


@dataclass
class ModelGrant:
    """Credits that were given or bought together."""

    left: int
    paid_left: int
    expires: datetime | None


@dataclass
class Model:
    """The ledger in thirty lines: attempts, ended jobs, credits, corrections, and the cap that stands."""

    attempts: dict[int, ModelAttempt] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    hits: int = 0
    corrections: dict[str, tuple[str, int]] = field(default_factory=dict)
    grants: dict[str, ModelGrant] = field(default_factory=dict)
    cap: int | None = CAP_NANO

    @property
    def used(self) -> int:
        """What was spent, is held or in doubt."""
        return sum(attempt.used for attempt in self.attempts.values())

    @property
    def in_dollars(self) -> list[ModelAttempt]:
        """The attempts of the organization that bills each call."""
        return [one for one in self.attempts.values() if not one.job.startswith("credit")]

    def fits(self, bound: int, month: str) -> bool:
        """Whether a call fits under the caps of its tenant and its organization."""
        tenant = sum(one.used for one in self.in_dollars)
        corrected = sum(amount for day, amount in self.corrections.values() if day.startswith(month))
        org = sum(one.used for one in self.in_dollars if one.day.startswith(month)) + corrected
        return (self.cap is None or tenant + bound <= self.cap) and org + bound <= ORG_CAP_NANO

    def draw(self, count: int, now: datetime) -> tuple[tuple[ModelGrant, int, int], ...] | None:
        """Return what pays for so many credits, and take it; None when there are not as many."""
        usable = [one for one in self.grants.values() if one.left and (one.expires is None or one.expires > now)]
        if sum(one.left for one in usable) < count:
            return None
        draws = []
        for grant in sorted(usable, key=lambda one: (one.expires is None, one.expires or now)):
            if taken := min(count, grant.left):
                paid = grant.paid_left * taken // grant.left
                grant.left, grant.paid_left, count = grant.left - taken, grant.paid_left - paid, count - taken
                draws.append((grant, taken, paid))
        return tuple(draws)


class Books(RuleBasedStateMachine):
    """Runs every step on the ledger and on the model."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.model = Model()
        self.runner = asyncio.Runner()
        self.ledger = self.run(self._open())

    async def _open(self) -> Ledger:
        return await Ledger.open(self.url, clock=self.clock, commits_per_second=10_000)

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Run on the machine's own loop."""
        return self.runner.run(work)

    @property
    def day(self) -> str:
        """The day."""
        return self.clock.now().date().isoformat()

    def _answer(self, cost: int) -> Settlement:
        return settlement(cost, sent_at=self.clock.now(), ended_at=self.clock.now())

    def _attempt(self, pick: int) -> tuple[int, ModelAttempt]:
        return sorted(self.model.attempts.items())[pick % len(self.model.attempts)]

    @rule(job=JOBS, bound=AMOUNTS, first=st.booleans(), delivery=st.sampled_from(["now", "batch"]))
    def hold(self, job: str, bound: int, first: bool, delivery: str = "now") -> None:  # noqa: FBT001  # drawn
        """Hold, fitting or not, delivered before or not."""
        caps = (Cap(kind="tenant_total", limit_nano=CAP_NANO), Cap(kind="org_month", limit_nano=ORG_CAP_NANO))
        never_ended_without_attempt = job not in self.model.ended or any(
            attempt.job == job for attempt in self.model.attempts.values()
        )
        wanted = request(
            job,
            upper_bound_nano=bound,
            caps=caps,
            first_delivery=first and never_ended_without_attempt,
            delivery=delivery,
        )
        result = self.run(self.ledger.hold(wanted))
        if job in self.model.ended:
            assert isinstance(result, AlreadyDone)
            assert result.outcome.status == self.model.ended[job]
            return
        batched = [
            key
            for key, one in self.model.attempts.items()
            if (one.job, one.state, one.delivery) == (job, "held", "batch")
        ]
        if batched:
            assert isinstance(result, Held)
            assert ([result.attempt_id], result.delivery) == (batched, "batch")
            return
        lost = [key for key, one in self.model.attempts.items() if (one.job, one.state) == (job, "held")]
        for key in lost:
            self.model.attempts[key].state = "in_doubt"
        if not self.model.fits(bound, self.day[:7]):
            assert isinstance(result, CapReached)
            return
        assert isinstance(result, Held)
        assert list(result.doubted) == lost
        assert result.n == 1 + sum(one.job == job for one in self.model.attempts.values())
        self.model.attempts[result.attempt_id] = ModelAttempt(job, bound, delivery=delivery, day=self.day)

    @rule(job=st.sampled_from(["credit-a", "credit-b"]), count=st.integers(1, 4))
    def hold_with_credits(self, job: str, count: int) -> None:
        """Hold on an organization's wallet: what expires first pays, and costs what was paid for it."""
        work = self.ledger.hold(request(job, org="labs", tenant="labs", credits=count, upper_bound_nano=0))
        result = self.run(work)
        if job in self.model.ended:
            assert isinstance(result, AlreadyDone)
            return
        for one in self.model.attempts.values():
            if (one.job, one.state) == (job, "held"):
                one.state = "in_doubt"
        draws = self.model.draw(count, self.clock.now())
        if draws is None:
            assert isinstance(result, CapReached)
            assert result.kind == "credits"
            return
        assert isinstance(result, Held)
        assert result.paid_nano == sum(paid for _, _, paid in draws)
        self.model.attempts[result.attempt_id] = ModelAttempt(job, result.paid_nano, day=self.day, draws=draws)

    @rule(
        source=st.sampled_from(["pack", "month", "bonus", "late"]),
        count=st.integers(1, 5),
        paid=AMOUNTS,
        hours=st.none() | st.integers(1, 60),
    )
    def grant(self, source: str, count: int, paid: int, hours: int | None) -> None:
        """Give or sell credits, once for each source."""
        expires = None if hours is None else self.clock.now() + timedelta(hours=hours)
        kind: Any = "purchase" if paid else "grant"
        work = self.ledger.grant_credits("labs", count, paid, kind=kind, source=source, expires_at=expires)
        assert self.run(work) == (source not in self.model.grants)
        self.model.grants.setdefault(source, ModelGrant(count, paid, expires))

    @rule(limit=st.none() | st.integers(0, 80))
    def change_cap(self, limit: int | None) -> None:
        """Set the tenant's cap while everything runs, or go back to the configured one."""
        state: Any = "configured" if limit is None else "limit"
        self.run(
            self.ledger.submit(
                SetCap(kind="tenant_total", name="default", state=state, limit_nano=limit, by="ann", reason="try")
            )
        )
        self.model.cap = CAP_NANO if limit is None else limit

    @precondition(lambda self: self.model.attempts)
    @rule(pick=st.integers(0, 9), cost=AMOUNTS)
    def settle(self, pick: int, cost: int) -> None:
        """Settle any attempt, in any state."""
        key, attempt = self._attempt(pick)
        mine = self.run(self.ledger.settle(key, self._answer(cost)))
        assert mine == (attempt.state == "held")
        if attempt.state in ("held", "in_doubt"):
            attempt.end(cost, images=True, day=self.day)
        if attempt.state == "held":
            attempt.state = "settled"
            self.model.ended.setdefault(attempt.job, "succeeded")
        elif attempt.state == "in_doubt":
            attempt.state = "reconciled"

    @precondition(lambda self: self.model.attempts)
    @rule(pick=st.integers(0, 9), final=st.booleans())
    def void(self, pick: int, final: bool) -> None:  # noqa: FBT001  # drawn by hypothesis
        """Void any attempt."""
        key, attempt = self._attempt(pick)
        ended = ending(ended_at=self.clock.now())
        mine = self.run(self.ledger.void(key, ended, FAILURE if final else None))
        assert mine == (attempt.state == "held")
        if attempt.state in ("held", "in_doubt"):
            attempt.end(0, images=False, day=self.day)
        if mine and final:
            self.model.ended.setdefault(attempt.job, "failed")
        attempt.state = {"held": "voided", "in_doubt": "reconciled"}.get(attempt.state, attempt.state)

    @precondition(lambda self: self.model.attempts)
    @rule(pick=st.integers(0, 9), final=st.booleans())
    def doubt(self, pick: int, final: bool) -> None:  # noqa: FBT001  # drawn by hypothesis
        """Doubt any attempt."""
        key, attempt = self._attempt(pick)
        ended = ending(ended_at=self.clock.now())
        mine = self.run(self.ledger.doubt(key, ended, FAILURE if final else None))
        assert mine == (attempt.state == "held")
        if mine:
            attempt.state = "in_doubt"
            if final:
                self.model.ended.setdefault(attempt.job, "failed")

    @precondition(lambda self: self.model.attempts)
    @rule(pick=st.integers(0, 9), billed=st.booleans(), cost=st.none() | AMOUNTS)
    def resolve(self, pick: int, billed: bool, cost: int | None) -> None:  # noqa: FBT001  # drawn by hypothesis
        """Decide any attempt."""
        key, attempt = self._attempt(pick)
        decision = "billed" if billed else "not_billed"
        done = self.run(self.ledger.resolve(key, decision, cost, reason="seen", by="ann"))  # type: ignore[arg-type]  # one of the two
        assert done == (attempt.state == "in_doubt")
        if done:
            attempt.state = "reconciled"
            attempt.end((attempt.bound if cost is None else cost) if billed else 0, images=False, day=self.day)

    @rule(job=JOBS, hit=st.booleans())
    def record(self, job: str, hit: bool) -> None:  # noqa: FBT001  # drawn by hypothesis
        """End a job without an attempt."""
        outcome = CacheHit(images=(image(),), saved_nano=3) if hit else FAILURE
        stored = self.run(self.ledger.record_outcome(job, outcome, JobFacts(org="main")))
        assert stored == (job not in self.model.ended)
        if stored:
            self.model.ended[job] = "succeeded" if hit else "failed"
            self.model.hits += hit

    @rule(job=JOBS)
    def reopen(self, job: str) -> None:
        """Reopen any job."""
        done = self.run(self.ledger.reopen(job))
        assert done == (self.model.ended.get(job) == "failed")
        if done:
            del self.model.ended[job]

    @precondition(lambda self: self.model.attempts)
    @rule(picks=st.lists(st.integers(0, 9), min_size=2, max_size=5), cost=AMOUNTS)
    def settle_together(self, picks: list[int], cost: int) -> None:
        """Ask for several settlements at once, some of them of one attempt."""
        chosen = [self._attempt(pick) for pick in picks]
        expected = 0
        for attempt in dict(chosen).values():
            expected += attempt.state == "held"

        async def together() -> list[bool]:
            return await asyncio.gather(*(self.ledger.settle(key, self._answer(cost)) for key, _ in chosen))

        assert sum(self.run(together())) == expected
        for _, attempt in chosen:
            if attempt.state == "held":
                self.model.ended.setdefault(attempt.job, "succeeded")
            if attempt.state in ("held", "in_doubt"):
                attempt.state = {"held": "settled"}.get(attempt.state, "reconciled")
                attempt.end(cost, images=True, day=self.day)

    @rule(source=st.sampled_from(["one", "two", "three"]), amount=st.integers(-8, 16))
    def correct(self, source: str, amount: int) -> None:
        """Book what a bill shows beyond the rows, once for each source."""
        work = self.ledger.correct("main", "2026-11-22", amount, model="dall-e-3", reason="the bill", source=source)
        assert self.run(work) == (source not in self.model.corrections)
        self.model.corrections.setdefault(source, ("2026-11-22", amount))

    @rule(billed=st.lists(st.booleans(), min_size=4, max_size=4), extra=st.integers(-3, 5), rest=st.booleans())
    def reconcile(self, billed: list[bool], extra: int, rest: bool) -> None:  # noqa: FBT001  # drawn by hypothesis
        """Compare the day with a bill that shows some of what is in doubt, and a little that nothing explains."""
        day = self.day
        corrected = sum(amount for of, amount in self.model.corrections.values() if of == day)
        spent = sum(one.cost for one in self.model.in_dollars if one.answered == day)
        doubts = [one.bound for one in self.model.in_dollars if (one.state, one.day) == ("in_doubt", day)]
        shown = spent + corrected + extra + sum(bound for bound, yes in zip(doubts, billed, strict=False) if yes)
        bill = Bill(models={"dall-e-3": BilledModel(usd_nano=max(shown, 0))})

        async def fetch(_org: Org, _day: str) -> Bill:
            return bill

        async def compare() -> DayReport:
            return await reconcile_day(
                self.ledger, ORG, day, fetch, complete=True, correct="the rest" if rest else None
            )

        report = self.run(compare())
        for at, booking in enumerate(report.booked):
            if "attempt" in booking:
                one = self.model.attempts[int(str(booking["attempt"]))]
                assert one.state == "in_doubt"
                one.state = "reconciled"
                one.end(parse_usd(str(booking["usd"])), images=False, day=self.day)
            else:
                amount = parse_usd(str(booking["correction_usd"]))
                self.model.corrections[f"bill {len(self.model.corrections)} {at}"] = (day, amount)
        held = any((one.state, one.delivery) == ("held", "now") for one in self.model.in_dollars)
        if rest and not held and not report.warning:
            assert report.unexplained_nano == 0
        assert self.run(compare()).booked == ()

    @rule()
    def archive(self) -> None:
        """Take the details of months that are over out; no sum changes."""

        async def work() -> None:
            now = self.clock.now()
            for month in await self.ledger.read(lambda connection: months_to_archive(connection, 1, now)):
                if not month.undecided:
                    await self.ledger.seal(Archived(month=month.month, rows=1, sha256="ab" * 32))
                    while await self.ledger.strip(month.month):
                        pass

        self.run(work())

    @rule()
    def month_turns(self) -> None:
        """Go on to the first noon of the next month."""
        self.clock.moment = start_of_next_month(self.day) + timedelta(hours=12)

    @rule()
    def restart(self) -> None:
        """Close and open: a new writer."""
        self.run(self.ledger.aclose())
        self.ledger = self.run(self._open())

    @rule(hours=st.integers(1, 13))
    def time_passes(self, hours: int) -> None:
        """Go on, to the next day at times."""
        self.clock.forward(hours=hours)

    @invariant()
    def sums_are_those_of_the_model(self) -> None:
        """Compare."""
        total = self.run(self.ledger.summary()).total
        attempts = self.model.attempts.values()
        for state in ("held", "in_doubt", "settled", "voided", "reconciled"):
            assert getattr(total, state) == sum(one.state == state for one in attempts), state
        assert total.held_nano + total.in_doubt_nano + total.settled_nano == self.model.used
        assert total.cache_hits == self.model.hits
        assert total.corrected_nano == sum(amount for _, amount in self.model.corrections.values())

    @invariant()
    def wallets_are_those_of_the_model(self) -> None:
        """Compare what is left of every grant, and what was paid for it."""
        kept = {one.source: (one.credits_left, one.paid_left_nano) for one in self.run(self.ledger.grants("labs"))}
        assert kept == {source: (one.left, one.paid_left) for source, one in self.model.grants.items()}

    @invariant()
    def the_audit_finds_nothing(self) -> None:
        """Prove L1 to L12, where there is time for it after each step."""
        if HISTORIES:
            self.run(self.ledger.audit()).raise_for_breach()

    def teardown(self) -> None:
        """Audit; and both ways of summing agree."""
        report = self.run(self.ledger.audit())
        by_rows = self.run(self.ledger.summary(["intent"])).total
        by_rollup = self.run(self.ledger.summary(["day"])).total
        self.run(self.ledger.aclose())
        self.runner.close()
        report.raise_for_breach()
        assert by_rows.as_json() | {"succeeded_jobs": 0} == by_rollup.as_json() | {"succeeded_jobs": 0}


def run_machine(machine: type[Books], examples: int) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        phases=PHASES,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(machine, settings=chosen)


def test_any_history_on_sqlite(sqlite_template: Path) -> None:
    folder = Path(mkdtemp(prefix="iq-ledger-"))

    class SqliteBooks(Books):
        def __init__(self) -> None:
            path = folder / f"{uuid4().hex}.db"
            shutil.copy(sqlite_template, path)
            type(self).url = f"sqlite:///{path}"
            super().__init__()

    run_machine(SqliteBooks, HISTORIES or 8)
    shutil.rmtree(folder)


def test_any_history_on_postgresql(postgresql_server: str, postgresql_template: str) -> None:
    made: list[str] = []

    class PostgresqlBooks(Books):
        def __init__(self) -> None:
            made.append(f"machine_{uuid4().hex}")
            execute(postgresql_server, f"CREATE DATABASE {made[-1]} TEMPLATE {postgresql_template}")
            type(self).url = of_database(postgresql_server, made[-1])
            super().__init__()

    run_machine(PostgresqlBooks, HISTORIES or 3)
    for name in made:
        with suppress(KeyError):
            execute(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)")


def test_the_model_is_able_to_disagree(sqlite_template: Path, tmp_path: Path) -> None:
    """A ledger that forgets one settlement is caught, so that the tests above can fail."""
    shutil.copy(sqlite_template, tmp_path / "ledger.db")

    class Forgetful(Books):
        url = f"sqlite:///{tmp_path}/ledger.db"

    books = Forgetful()
    books.hold("a", 5, first=True)
    books.sums_are_those_of_the_model()
    next(iter(books.model.attempts.values())).state = "settled"
    with pytest.raises(AssertionError):
        books.sums_are_those_of_the_model()
    books.teardown()
