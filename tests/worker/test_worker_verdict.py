"""What each documented or recorded answer of the provider means, for the job, its pool and the bill."""

from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_values import NOON, answer, error

from imagequeue.worker.answer import Answer, NoAnswer
from imagequeue.worker.verdict import (
    QUOTA_CODES,
    WAIT_SECONDS_DEFAULT,
    WAIT_SECONDS_MAX,
    Blocked,
    Images,
    ModelGone,
    Rejected,
    Throttled,
    Trouble,
    judge,
    ledger_state,
    wait_seconds,
)

UNVERIFIED = "Your organization must be verified to use the model `gpt-image-2`. Please go to: ..."

# status, error.code, error.type, message, what it means, how the attempt is booked: the provider's error guide and
# recordings of its answers, one row each.
TABLE = [
    (400, "moderation_blocked", "image_generation_user_error", "no", Rejected, "void"),
    (400, "content_policy_violation", "invalid_request_error", "no", Rejected, "void"),
    (
        400,
        "billing_hard_limit_reached",
        "invalid_request_error",
        "Billing hard limit has been reached",
        Blocked,
        "void",
    ),
    (400, "billing_hard_limit_reached", "image_generation_user_error", "Billing hard limit", Blocked, "void"),
    (400, "invalid_image_file", "image_generation_user_error", "no", Rejected, "void"),
    (400, "invalid_input_fidelity_model", "image_generation_user_error", "no", Rejected, "void"),
    (400, None, "invalid_request_error", "Unknown parameter: 'x'.", Rejected, "void"),
    (401, "invalid_api_key", "invalid_request_error", "Incorrect API key provided", Blocked, "void"),
    (401, None, None, "You must be a member of an organization to use the API", Blocked, "void"),
    (403, None, "invalid_request_error", UNVERIFIED, ModelGone, "void"),
    (403, "model_not_found", "invalid_request_error", "Project does not have access to model", ModelGone, "void"),
    (403, "unsupported_country_region_territory", None, "Country, region, or territory not supported", Blocked, "void"),
    (404, "model_not_found", "invalid_request_error", "The model `dall-e-3` does not exist", ModelGone, "void"),
    (404, None, None, "no such path", Rejected, "void"),
    (408, None, None, "timeout", Trouble, "void"),
    (409, None, None, "conflict", Trouble, "void"),
    (413, None, None, "too large", Rejected, "void"),
    (422, None, None, "unprocessable", Rejected, "void"),
    (429, "rate_limit_exceeded", "input-images", "Please try again in 12s.", Throttled, "void"),
    (429, "rate_limit_exceeded", "requests", "Limit 5", Throttled, "void"),
    (429, "rate_limit_exceeded", "tokens", "Limit 5", Throttled, "void"),
    (429, "slow_down", None, "slow down", Throttled, "void"),
    (429, None, None, "too many", Throttled, "void"),
    *((429, code, "insufficient_quota", "no", Blocked, "void") for code in sorted(QUOTA_CODES)),
    (429, None, "insufficient_quota", "You exceeded your current quota", Blocked, "void"),
    (200, "rate_limit_exceeded", None, "an error in a 200", Throttled, "void"),
    (500, None, "server_error", "The server had an error", Trouble, "doubt"),
    (502, None, None, "bad gateway", Trouble, "doubt"),
    (503, "server_is_overloaded", None, "overloaded", Trouble, "void"),
    (503, "slow_down", None, "slow down", Throttled, "void"),
    (504, None, None, "gateway timeout", Trouble, "doubt"),
    (524, None, None, "a timeout occurred", Trouble, "doubt"),
    (302, None, None, "elsewhere", Trouble, "doubt"),
]


@pytest.mark.parametrize(("status", "code", "kind", "message", "meaning", "booked"), TABLE)
def test_every_known_error_is_understood(
    status: int, code: str | None, kind: str | None, message: str, meaning: type, booked: str
) -> None:
    verdict = judge(error(status, code, kind, message))
    assert type(verdict) is meaning
    assert ledger_state(verdict) == booked
    assert message in verdict.message  # type: ignore[union-attr]  # no row means images
    if code is not None:
        assert verdict.code == code  # type: ignore[union-attr]


def test_a_picture_blocked_after_it_was_made_may_be_billed() -> None:
    details = {"moderation_stage": "output", "categories": ["x"]}
    verdict = judge(error(400, "moderation_blocked", "image_generation_user_error", moderation_details=details))
    assert verdict == Rejected(code="moderation_blocked", message="no", may_be_billed=True)
    assert ledger_state(verdict) == "doubt"


@pytest.mark.parametrize("body", [{}, {"data": []}, {"data": None}, {"data": {}}, [], None, "x", 7])
def test_a_200_without_images_is_in_doubt(body: object) -> None:
    verdict = judge(answer(200, body))
    assert isinstance(verdict, Trouble)
    assert (verdict.code, verdict.may_be_billed, ledger_state(verdict)) == ("bad_answer", True, "doubt")


def test_images_are_images() -> None:
    assert isinstance(judge(answer(200, {"data": [{"b64_json": ""}]})), Images)


@pytest.mark.parametrize(("sent", "booked"), [(True, "doubt"), (False, "void")])
def test_no_answer_is_in_doubt_when_it_was_sent(sent: bool, booked: str) -> None:  # noqa: FBT001  # a parameter
    verdict = judge(NoAnswer(sent=sent, code="x", message="y", sent_at=NOON, ended_at=NOON))
    assert isinstance(verdict, Trouble)
    assert (verdict.may_be_billed, ledger_state(verdict)) == (sent, booked)


HINTS = [
    ("Please try again in 12s.", 12),
    ("Please try again in 240ms. Visit", 0.24),
    ("Please try again in 6m0s.", 360),
    ("Please try again in 1m30s", 90),
    ("try again in 1.5s", 1.5),
    ("TRY AGAIN IN 2m", 120),
    ("Please try again in 1h0m5s.", WAIT_SECONDS_MAX),
    ("Please try again later.", WAIT_SECONDS_DEFAULT),
    ("", WAIT_SECONDS_DEFAULT),
]


@pytest.mark.parametrize(("message", "seconds"), HINTS)
def test_the_hint_in_the_text_says_when(message: str, seconds: float) -> None:
    assert wait_seconds(answer(429, {}), message) == pytest.approx(seconds)


HEADERS = [
    ({"retry-after": "7"}, 7),
    ({"retry-after": "0.5"}, 0.5),
    ({"retry-after": format_datetime(NOON + timedelta(seconds=42), usegmt=True)}, 42),
    ({"retry-after": format_datetime(NOON - timedelta(seconds=42), usegmt=True)}, WAIT_SECONDS_DEFAULT),
    ({"retry-after-ms": "250"}, 0.25),
    ({"retry-after-ms": "250", "retry-after": "3"}, 3),
    ({"retry-after": "soon"}, WAIT_SECONDS_DEFAULT),
    ({"retry-after": "-5"}, WAIT_SECONDS_DEFAULT),
    ({"retry-after": "nan"}, WAIT_SECONDS_DEFAULT),
    ({"retry-after-ms": "inf"}, WAIT_SECONDS_DEFAULT),
    ({"retry-after": "9" * 400}, WAIT_SECONDS_DEFAULT),
    ({"retry-after": "999999"}, WAIT_SECONDS_MAX),
    ({}, WAIT_SECONDS_DEFAULT),
]


@pytest.mark.parametrize(("headers", "seconds"), HEADERS)
def test_the_headers_say_when(headers: dict[str, str], seconds: float) -> None:
    assert wait_seconds(answer(429, {}, headers), "") == pytest.approx(seconds)


def test_the_longest_wait_named_counts() -> None:
    assert wait_seconds(answer(429, {}, {"retry-after": "3"}), "try again in 12s") == 12
    assert wait_seconds(answer(429, {}, {"retry-after": "30"}), "try again in 12s") == 30


def test_an_overloaded_servers_wait_is_kept() -> None:
    verdict = judge(error(503, "server_is_overloaded", None, headers={"retry-after": "9"}))
    assert isinstance(verdict, Trouble)
    assert verdict.wait_seconds == 9


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["error", "code", "data"]), inner),
    max_leaves=12,
)


@given(
    status=st.integers(100, 599),
    body=JSON,
    headers=st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text(max_size=20)),
)
def test_any_answer_means_something_and_no_wait_is_endless(status: int, body: object, headers: dict[str, str]) -> None:
    verdict = judge(answer(status, body, headers))
    if isinstance(verdict, Throttled | Trouble):
        assert 0 <= verdict.wait_seconds <= WAIT_SECONDS_MAX
    if isinstance(verdict, Images):
        assert status == 200


@pytest.mark.parametrize("found", [answer(200, None, text="\x1f\x8b\x00gz\nip"), error(500, "a\x00b", "x", "c\x00d")])
def test_what_is_told_of_an_answer_can_be_printed_and_stored(found: Answer) -> None:
    """PostgreSQL takes no NUL: an attempt with one could never be booked."""
    verdict = judge(found)
    assert isinstance(verdict, Trouble)
    assert verdict.message.isprintable()
    assert verdict.code.isprintable()
