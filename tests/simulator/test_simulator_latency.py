"""Latency: each distribution stays within its bounds, and its short form reads as meant."""

import statistics
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.simulator.latency import SECONDS_MAX, Latency, parse_latency


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # repeatable chances, not secrets


@given(low=st.floats(0, 100), width=st.floats(0, 100), seed=st.integers(0, 100))
def test_uniform_stays_between_its_ends(low: float, width: float, seed: int) -> None:
    latency = Latency(kind="uniform", seconds=low, high_seconds=low + width)
    random = seeded(seed)
    assert all(low <= latency.draw(random) <= low + width for _ in range(50))


@given(median=st.floats(0, 100), sigma=st.floats(0, 3), seed=st.integers(0, 100))
def test_lognormal_never_passes_its_ceiling(median: float, sigma: float, seed: int) -> None:
    latency = Latency(kind="lognormal", seconds=median, sigma=sigma, high_seconds=150)
    random = seeded(seed)
    assert all(0 <= latency.draw(random) <= 150 for _ in range(50))


def test_lognormal_has_its_median() -> None:
    random = seeded(7)
    drawn = [Latency(kind="lognormal", seconds=15, sigma=0.4).draw(random) for _ in range(4_000)]
    assert statistics.median(drawn) == pytest.approx(15, rel=0.05)


@pytest.mark.parametrize(
    ("text", "latency"),
    [
        ("15", Latency(seconds=15)),
        ("fixed:0.5", Latency(seconds=0.5)),
        ("uniform:10,20", Latency(kind="uniform", seconds=10, high_seconds=20)),
        ("lognormal:15,0.4", Latency(kind="lognormal", seconds=15, sigma=0.4, high_seconds=SECONDS_MAX)),
        ("lognormal:15,0.4,60", Latency(kind="lognormal", seconds=15, sigma=0.4, high_seconds=60)),
    ],
)
def test_the_short_form(text: str, latency: Latency) -> None:
    assert parse_latency(text) == latency


@pytest.mark.parametrize(
    "text", ["", "soon", "uniform:10", "fixed:1,2", "lognormal:15", "-1", "uniform:20,10", "1e9", ".", "601"]
)
def test_a_wrong_short_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="latency"):
        parse_latency(text)
