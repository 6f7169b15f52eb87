"""Operations that come one by one are committed at once for ever; many gather, and share at most so many commits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.ledger.allowance import COMMITS_AT_ONCE, COMPANY_MIN, Allowance

COMMITS_PER_SECOND = 15.0
LINE = COMMITS_PER_SECOND * COMPANY_MIN


def commits(operations_per_second: float, seconds: float) -> tuple[int, float]:
    """Let operations come evenly; return how many commits they took, and the longest wait of one of them."""
    allowance = Allowance(COMMITS_PER_SECOND, 0.0)
    made, longest, due = 0, 0.0, 0.0
    while due < seconds:
        leaves = due + allowance.wait_seconds(due)
        gathered = 1 + int((leaves - due) * operations_per_second)
        allowance.spend(gathered, leaves)
        made, longest = made + 1, max(longest, leaves - due)
        due += gathered / operations_per_second
    return made, longest


@given(share=st.floats(0.02, 0.9))
def test_nothing_waits_while_fewer_come_than_are_worth_it(share: float) -> None:
    made, longest = commits(share * LINE, 20.0)
    assert longest == 0
    assert made == pytest.approx(20 * share * LINE, abs=1)


@given(share=st.floats(1.3, 100.0))
def test_many_share_the_commits_of_steady_load(share: float) -> None:
    made, longest = commits(share * LINE, 20.0)
    assert made <= COMMITS_AT_ONCE + (20 + 2) * COMMITS_PER_SECOND + LINE
    assert 0 < longest <= 1 / COMMITS_PER_SECOND + 1e-9


def test_after_a_crowd_one_alone_is_committed_at_once_again() -> None:
    allowance = Allowance(COMMITS_PER_SECOND, 0.0)
    for _ in range(COMMITS_AT_ONCE + 1):
        allowance.spend(100, 0.0)
    assert allowance.wait_seconds(0.0) > 0
    assert allowance.wait_seconds(5.0) == 0
