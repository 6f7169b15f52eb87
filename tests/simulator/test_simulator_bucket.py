"""The token bucket: a caller that keeps the pace is never refused, and nobody ever gets more than the ceiling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.simulator.bucket import Bucket, Gate
from imagequeue.simulator.refusals import rate_limited, wait_text


def gate(images: float | None, *, tokens: float | None = None, depth: float = 1.0, refused_count: bool = False) -> Gate:
    def bucket(limit: float | None) -> Bucket | None:
        return None if limit is None else Bucket(limit_per_minute=limit, depth_seconds=depth, now=0.0)

    return Gate(images=bucket(images), tokens=bucket(tokens), refused_calls_count=refused_count)


LIMITS = st.sampled_from([0.5, 5, 7, 60, 500, 10_000])


@given(
    limit=LIMITS,
    depth=st.sampled_from([0.1, 1.0, 12.0, 60.0]),
    calls=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 10)), min_size=1, max_size=40),
)
def test_no_stretch_of_time_gets_more_than_depth_and_rate_allow(
    limit: float, depth: float, calls: list[tuple[float, int]]
) -> None:
    """Over every stretch: images <= bucket + rate * time + the one request that may overdraw a full bucket."""
    entrance, now = gate(limit, depth=depth), 0.0
    passed: list[tuple[float, int]] = []
    for pause, images in calls:
        now += pause
        if entrance.enter(images=images, tokens=0, now=now) is None:
            passed.append((now, images))
    for first, (start, _) in enumerate(passed):
        total = 0
        for at, images in passed[first:]:
            total += images
            assert total <= max(1.0, limit / 60 * depth) + limit / 60 * (at - start) + images + 0.001


@given(limit=LIMITS, images=st.integers(1, 4), count=st.integers(2, 60), began=st.floats(0, 1e6))
def test_a_caller_at_exactly_the_pace_is_never_refused(limit: float, images: int, count: int, began: float) -> None:
    entrance = gate(limit, depth=0.1)
    for place in range(count):
        now = began + place * images * 60 / limit
        assert entrance.enter(images=images, tokens=0, now=now) is None


@given(limit=LIMITS, first=st.integers(1, 10), second=st.integers(1, 10))
def test_the_wait_that_is_told_is_enough_and_not_too_long(limit: float, first: int, second: int) -> None:
    entrance = gate(limit, depth=0.1)
    assert entrance.enter(images=first, tokens=0, now=0.0) is None
    refused = entrance.enter(images=second, tokens=0, now=0.0)
    if refused is None:
        return
    early = entrance.enter(images=second, tokens=0, now=refused.wait_seconds * 0.99 - 0.0001)
    assert early is not None
    assert entrance.enter(images=second, tokens=0, now=refused.wait_seconds + 1e-6) is None


def test_both_dimensions_are_charged_together_or_not_at_all() -> None:
    entrance = gate(60, tokens=6000)
    assert entrance.enter(images=1, tokens=100, now=0.0) is None
    refused = entrance.enter(images=1, tokens=50, now=0.5)
    assert refused is not None
    assert refused.dimension == "images"
    assert entrance.images is not None
    assert entrance.tokens is not None
    assert entrance.images.level(0.5) == pytest.approx(0.5)
    assert entrance.tokens.level(0.5) == pytest.approx(50)


def test_refused_calls_cost_only_when_asked() -> None:
    plain, strict = gate(60), gate(60, refused_count=True)
    for entrance in (plain, strict):
        for _ in range(3):
            entrance.enter(images=1, tokens=0, now=0.0)
    assert plain.enter(images=1, tokens=0, now=1.0) is None
    assert strict.enter(images=1, tokens=0, now=1.0) is not None


def test_without_a_ceiling_everything_passes() -> None:
    entrance = gate(None)
    assert all(entrance.enter(images=10, tokens=10**9, now=0.0) is None for _ in range(100))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.0, "12s"), (0.24, "240ms"), (0.015, "15ms"), (51.84, "51.84s"), (0.0001, "1ms"), (0.9999, "1s")],
)
def test_waits_are_worded_as_recorded(seconds: float, text: str) -> None:
    assert wait_text(seconds) == text


def test_a_refusal_reads_as_recorded() -> None:
    """The recorded text of a real refusal at 5 images a minute."""
    entrance = gate(5)
    entrance.enter(images=1, tokens=0, now=0.0)
    refused = entrance.enter(images=1, tokens=0, now=0.0)
    assert refused is not None
    error = rate_limited(refused, model="gpt-image-2", group="gpt-image", org_id="org-x")
    assert error.message.startswith(
        "Rate limit reached for gpt-image-2 (for limit gpt-image) in organization org-x on input-images per min: "
        "Limit 5, Used 5, Requested 1. Please try again in 12s."
    )
    assert (error.status, error.code, error.headers["retry-after"]) == (429, "rate_limit_exceeded", "12")
