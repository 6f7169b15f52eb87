"""Faults of every part and kills in one run: after the reconciliation the ledger is the bill to the nano-dollar."""

import os
import random

import pytest
from faults_combined import CombinedPlan, combined
from soak_site import LedgerKind

FAULTS = 8
KILLS = 3


@pytest.mark.kill
@pytest.mark.timeout(240)
@pytest.mark.parametrize("ledger", ["sqlite", "postgresql"])
def test_faults_and_kills_mixed_leave_no_cent_unknown(ledger: LedgerKind) -> None:
    """FAULTS_SEED replays a run; seed and log stand in the line that is shown when this fails."""
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(10**9))
    report = combined(CombinedPlan(faults=FAULTS, kills=KILLS, seed=seed, ledger=ledger))
    print(report.line())  # noqa: T201  # shown when the test fails
    assert report.problems == []
    assert report.found.jobs > 0
