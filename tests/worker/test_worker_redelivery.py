"""What a receiver's answer means and when a message goes again: the standard's rules, at every value."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook as Verifier

from imagequeue.config.webhooks import new_secret
from imagequeue.worker.redelivery import (
    DELAYS_SECONDS,
    JITTER,
    RETRY_AFTER_SECONDS_MAX,
    THROTTLE_SECONDS,
    TRIES_MAX,
    Arrived,
    Failed,
    judge,
    next_try,
)
from imagequeue.worker.signing import signed_headers

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@given(status=st.integers(100, 599), retry_after=st.one_of(st.none(), st.text(max_size=30)))
def test_only_2xx_arrived_and_a_pause_is_bounded(status: int, retry_after: str | None) -> None:
    answer = judge(status, retry_after, NOW)
    assert isinstance(answer, Arrived) == (200 <= status < 300)
    if isinstance(answer, Failed):
        assert answer.gone == (status == 410)
        assert 0 <= answer.pause_seconds <= RETRY_AFTER_SECONDS_MAX
        assert str(status) in answer.why


@pytest.mark.parametrize("status", [429, 502, 504])
def test_a_busy_receiver_gets_a_pause_of_its_own_choice_or_ours(status: int) -> None:
    pauses = {"": THROTTLE_SECONDS, "7": THROTTLE_SECONDS, "600": 600.0, "Sun, 22 Nov 2026 01:00:00 GMT": 3600.0}
    for retry_after, seconds in pauses.items():
        answer = judge(status, retry_after, NOW)
        assert isinstance(answer, Failed)
        assert answer.pause_seconds == seconds


@given(tries=st.integers(1, TRIES_MAX + 5), pause_seconds=st.floats(0, RETRY_AFTER_SECONDS_MAX), chance=st.floats(0, 1))
def test_a_message_goes_again_by_the_schedule_or_later_or_never(
    tries: int, pause_seconds: float, chance: float
) -> None:
    again = next_try(NOW, tries=tries, pause_seconds=pause_seconds, chance=chance)
    if tries >= TRIES_MAX:
        assert again is None
        return
    assert again is not None
    waited = (again - NOW).total_seconds()
    shortest = max(DELAYS_SECONDS[tries], pause_seconds)
    assert shortest - 1e-5 <= waited <= max(DELAYS_SECONDS[tries] * (1 + JITTER), pause_seconds) + 1e-5


def test_the_schedule_ends_after_more_than_three_days() -> None:
    assert sum(DELAYS_SECONDS) > timedelta(days=3).total_seconds()


@given(body=st.text(max_size=100), number=st.integers(1, 2**63 - 1))
def test_every_signature_is_the_standards(body: str, number: int) -> None:
    secret, at = new_secret(), datetime.now(UTC)
    data = body.encode("utf-8", "replace")
    headers = signed_headers(f"msg_{number}", at, data, [SecretStr(secret)])
    Verifier(secret).verify(data, headers, json_parse=False)
