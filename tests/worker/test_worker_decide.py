"""Whether and when a job runs again, by what its call came to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_values import job

from imagequeue.worker.decide import (
    BACKOFF_SECONDS,
    BACKOFF_SECONDS_MAX,
    BackInLine,
    GiveUp,
    Park,
    RunAgain,
    Succeed,
    backoff_seconds,
    decide,
)
from imagequeue.worker.verdict import Blocked, Images, ModelGone, Rejected, Throttled, Trouble

TROUBLE = Trouble(code="http_500", message="no", may_be_billed=True)
DOUBT = Trouble(code="timeout", message="no whole answer", may_be_billed=True)


@given(tries=st.integers(1, 200), chance=st.floats(0, 1, exclude_max=True))
def test_the_wait_grows_within_a_quarter_up_or_down(tries: int, chance: float) -> None:
    base = BACKOFF_SECONDS[min(tries, len(BACKOFF_SECONDS)) - 1]
    assert base * 0.75 <= backoff_seconds(tries, chance) <= min(base * 1.25, BACKOFF_SECONDS_MAX)


def test_images_succeed() -> None:
    assert decide(Images(body={}), job(), tries=1, chance=0.5) == Succeed()


def test_a_refused_rate_pauses_the_pool_and_burns_no_attempt() -> None:
    throttled = Throttled(wait_seconds=12, code="rate_limit_exceeded", message="no")
    expected = BackInLine(reason="rate_limit_exceeded: no", pause_seconds=12)
    assert decide(throttled, job(max_attempts=1), tries=99, chance=0.5) == expected


def test_a_blocked_organization_is_suspended() -> None:
    blocked = Blocked(code="insufficient_quota", message="pay")
    assert decide(blocked, job(), tries=1, chance=0) == BackInLine(reason="insufficient_quota: pay", suspend=True)


def test_a_model_that_is_gone_is_marked() -> None:
    gone = ModelGone(code="model_not_found", message="gone")
    assert decide(gone, job(), tries=1, chance=0) == BackInLine(reason="model_not_found: gone", model_gone=True)


def test_a_rejected_job_fails_for_good() -> None:
    rejected = Rejected(code="moderation_blocked", message="no")
    assert decide(rejected, job(), tries=1, chance=0) == GiveUp(
        code="moderation_blocked", message="no", retryable=False
    )


@pytest.mark.parametrize("tries", [1, 2, 3, 4])
def test_trouble_runs_again_until_the_attempts_are_used_up(tries: int) -> None:
    decision = decide(TROUBLE, job(max_attempts=4), tries=tries, chance=0.5)
    if tries < 4:
        assert decision == RunAgain(delay_seconds=BACKOFF_SECONDS[tries - 1], reason="http_500: no")
    else:
        assert decision == GiveUp(code="http_500", message="no (attempt 4 of 4)", retryable=True)


def test_a_server_that_names_a_longer_wait_gets_it() -> None:
    overloaded = Trouble(code="server_is_overloaded", message="no", may_be_billed=False, wait_seconds=30)
    decision = decide(overloaded, job(), tries=1, chance=0.5)
    assert isinstance(decision, RunAgain)
    assert decision.delay_seconds == 30


@pytest.mark.parametrize("tries", [1, 5, 9])
def test_doubt_follows_the_jobs_own_rule(tries: int) -> None:
    for doubtful in (DOUBT, TROUBLE):  # an answer 5xx may have been billed as well as none
        assert isinstance(decide(doubtful, job(on_doubt="hold"), tries=tries, chance=0.5), Park)
    again = decide(DOUBT, job(on_doubt="retry"), tries=tries, chance=0.5)
    assert isinstance(again, RunAgain if tries < 5 else GiveUp)


def test_a_call_that_was_never_sent_is_no_doubt() -> None:
    refused = Trouble(code="connection_failed", message="no", may_be_billed=False)
    assert isinstance(decide(refused, job(on_doubt="hold"), tries=1, chance=0.5), RunAgain)
