"""Each part that a worker needs breaks and heals: nothing lost, no call while blind, it goes on and says why."""

import pytest
from faults_cases import Case, case, verdict
from faults_run import run

SECONDS = 2.5
QUICK = (
    "redis killed, restarted on its append-only file",
    "redis at maxmemory",
    "redis frozen (black hole)",
    "PostgreSQL stopped at once, started again",
    "SQLite locked by another process",
    "images' disk full",
    "event loop blocked",
)
"""`benchmarks/faults.py` runs all of them, and for longer."""


@pytest.mark.kill
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", QUICK)
def test_nothing_is_lost_and_the_reason_is_shown(name: str) -> None:
    one = case(name)
    if why := one.needs():
        pytest.skip(why)
    line, problems = run(one, SECONDS)
    print(line)  # noqa: T201  # shown when the test fails
    assert problems == []


def test_a_reason_that_is_not_shown_is_a_problem() -> None:
    """The check can fail."""
    from faults_scene import Seen
    from soak_check import Findings

    found = Findings(
        jobs=1, succeeded=1, failed=0, lost=1, settled_twice=0, calls=1, called_again=0, doubted=0, bill_nano=2,
        ledger_nano=1, files=1, problems=(),
    )  # fmt: skip
    seen = Seen(
        fault="f", seconds=1, found=found, blind_calls=1, resumed_seconds=None, reasons=("worker: x",), statuses=(0, -9)
    )
    one = Case(name="f", run=lambda _seconds: seen, says="y")
    assert len(verdict(one, seen)) == 4
