"""Any history of holds, endings, restarts and decisions leaves the books as a plain model of them says."""

import asyncio
import shutil
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
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

from imagequeue.ledger.api import AlreadyDone, CacheHit, Cap, CapReached, Held, JobFacts, JobFailure
from imagequeue.ledger.ledger import Ledger

CAP_NANO = 40
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

    @property
    def used(self) -> int:
        """What caps count of it."""
        return self.bound if self.state in ("held", "in_doubt") else self.cost


@dataclass
class Model:
    """The ledger in ten lines: attempts and ended jobs."""

    attempts: dict[int, ModelAttempt] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    hits: int = 0
    corrections: dict[str, int] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """What caps count."""
        return sum(attempt.used for attempt in self.attempts.values())


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

    def _attempt(self, pick: int) -> tuple[int, ModelAttempt]:
        return sorted(self.model.attempts.items())[pick % len(self.model.attempts)]

    @rule(job=JOBS, bound=AMOUNTS, first=st.booleans(), delivery=st.sampled_from(["now", "batch"]))
    def hold(self, job: str, bound: int, first: bool, delivery: str = "now") -> None:  # noqa: FBT001  # drawn
        """Hold, fitting or not, delivered before or not."""
        caps = (Cap(kind="tenant_total", limit_nano=CAP_NANO),)
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
        if self.model.used + bound > CAP_NANO:
            assert isinstance(result, CapReached)
            return
        assert isinstance(result, Held)
        assert list(result.doubted) == lost
        assert result.n == 1 + sum(one.job == job for one in self.model.attempts.values())
        self.model.attempts[result.attempt_id] = ModelAttempt(job, bound, delivery=delivery)

    @precondition(lambda self: self.model.attempts)
    @rule(pick=st.integers(0, 9), cost=AMOUNTS)
    def settle(self, pick: int, cost: int) -> None:
        """Settle any attempt, in any state."""
        key, attempt = self._attempt(pick)
        mine = self.run(self.ledger.settle(key, settlement(cost)))
        assert mine == (attempt.state == "held")
        if attempt.state == "held":
            attempt.state, attempt.cost = "settled", cost
            self.model.ended.setdefault(attempt.job, "succeeded")
        elif attempt.state == "in_doubt":
            attempt.state, attempt.cost = "reconciled", cost

    @precondition(lambda self: self.model.attempts)
    @rule(pick=st.integers(0, 9), final=st.booleans())
    def void(self, pick: int, final: bool) -> None:  # noqa: FBT001  # drawn by hypothesis
        """Void any attempt."""
        key, attempt = self._attempt(pick)
        mine = self.run(self.ledger.void(key, ending(), FAILURE if final else None))
        assert mine == (attempt.state == "held")
        if mine and final:
            self.model.ended.setdefault(attempt.job, "failed")
        attempt.state = {"held": "voided", "in_doubt": "reconciled"}.get(attempt.state, attempt.state)

    @precondition(lambda self: self.model.attempts)
    @rule(pick=st.integers(0, 9), final=st.booleans())
    def doubt(self, pick: int, final: bool) -> None:  # noqa: FBT001  # drawn by hypothesis
        """Doubt any attempt."""
        key, attempt = self._attempt(pick)
        mine = self.run(self.ledger.doubt(key, ending(), FAILURE if final else None))
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
            attempt.cost = (attempt.bound if cost is None else cost) if billed else 0

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
            return await asyncio.gather(*(self.ledger.settle(key, settlement(cost)) for key, _ in chosen))

        assert sum(self.run(together())) == expected
        for _, attempt in chosen:
            if attempt.state == "held":
                self.model.ended.setdefault(attempt.job, "succeeded")
            if attempt.state in ("held", "in_doubt"):
                attempt.state = {"held": "settled"}.get(attempt.state, "reconciled")
                attempt.cost = cost

    @rule(source=st.sampled_from(["one", "two", "three"]), amount=st.integers(-8, 16))
    def correct(self, source: str, amount: int) -> None:
        """Book what a bill shows beyond the rows, once for each source."""
        work = self.ledger.correct("main", "2026-11-22", amount, model="dall-e-3", reason="the bill", source=source)
        assert self.run(work) == (source not in self.model.corrections)
        self.model.corrections.setdefault(source, amount)

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
        assert total.corrected_nano == sum(self.model.corrections.values())

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

    run_machine(SqliteBooks, 8)
    shutil.rmtree(folder)


def test_any_history_on_postgresql(postgresql_server: str, postgresql_template: str) -> None:
    made: list[str] = []

    class PostgresqlBooks(Books):
        def __init__(self) -> None:
            made.append(f"machine_{uuid4().hex}")
            execute(postgresql_server, f"CREATE DATABASE {made[-1]} TEMPLATE {postgresql_template}")
            type(self).url = of_database(postgresql_server, made[-1])
            super().__init__()

    run_machine(PostgresqlBooks, 3)
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
