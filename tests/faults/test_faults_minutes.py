"""Kinds of fault held while jobs come, settled by `ledger reconcile`; `faults.py --minutes 2` holds all of them."""

from typing import get_args

import pytest
from faults_minutes import HARMLESS, groups_of, hold
from faults_provider import KINDS

from imagequeue.simulator.faults import Refusal, Spoiling

SECONDS = 3.0
RATE = 6.0
KINDS_HERE = ("negative_usage", "twice", "billed_reset", "invalid_key")


@pytest.mark.kill
@pytest.mark.timeout(240)
def test_after_the_reconciliation_the_ledger_is_the_bill() -> None:
    """An answer that comes twice is no answer to the next call; usage below zero costs what the catalog says."""
    held = {one.kind: one for one in hold(KINDS_HERE, seconds=SECONDS, rate=RATE, at_once=len(KINDS_HERE))}
    for one in held.values():
        print(one.line())  # noqa: T201  # shown when the test fails
    assert [f"{kind}: {problem}" for kind, one in held.items() for problem in one.problems] == []
    for kind in HARMLESS:
        assert held[kind].found.calls == held[kind].found.jobs > SECONDS
        assert held[kind].found.succeeded == held[kind].found.jobs
    assert held["billed_reset"].doubted > 0
    assert held["billed_reset"].bill_nano > held["twice"].bill_nano


def test_every_kind_of_the_simulator_is_held() -> None:
    assert sorted(groups_of(at_once=7)) == sorted({*get_args(Refusal), *get_args(Spoiling)})
    assert sorted(KINDS) == sorted(groups_of(at_once=1))
