"""Charts, findings and figures: what is told of the last minutes, and how amounts and times read."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.dashboard.chart import HEIGHT, WIDTH, chart
from imagequeue.dashboard.findings import CapUse, Seen, findings
from imagequeue.dashboard.history import HISTORY_SECONDS, History, Sample, points
from imagequeue.dashboard.shown import NONE, count, plural, share, span, usd
from imagequeue.dashboard.values import count_at, moment_at, usd_at

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


def samples(started: list[int], step: float = 2.0) -> list[Sample]:
    return [
        Sample(at=START + timedelta(seconds=step * place), started=total, refused=0, stopped=False)
        for place, total in enumerate(started)
    ]


@given(per_step=st.integers(2, 500), length=st.integers(7, 60))
def test_a_steady_pace_is_told_exactly(per_step: int, length: int) -> None:
    found = points(samples([per_step * place for place in range(length)]))
    assert found
    assert all(point.rate == pytest.approx(per_step * 30) for point in found)


def test_no_pace_is_told_before_ten_seconds() -> None:
    assert points(samples([0, 10, 20, 30, 40])) == []
    assert len(points(samples([0, 10, 20, 30, 40, 50]))) == 1


def test_few_starts_are_counted_over_a_minute_so_that_they_seem_no_more_than_they_are() -> None:
    burst = [0, 2, *[2] * 10, *[4] * 20]
    found = points(samples(burst))
    assert found[0].at - START >= timedelta(seconds=56)
    assert max(point.rate for point in found) < 5


def test_a_count_that_began_anew_makes_no_negative_pace() -> None:
    found = points(samples([1_000, *range(0, 400, 10)]))
    assert all(point.rate >= 0 for point in found)
    assert found[-1].rate == pytest.approx(300)


def status_at(seconds: float, *, started: int, refused: int = 0, suspended: str = "") -> dict[str, object]:
    pool = {"name": "main|x", "images_started": started, "calls_refused": refused, "suspended": suspended}
    return {"at": (START + timedelta(seconds=seconds)).isoformat(), "pools": [pool]}


def test_history_keeps_ten_minutes_and_passes_over_what_it_knows() -> None:
    history = History()
    for second in range(0, 2 * HISTORY_SECONDS, 2):
        history.note(status_at(second, started=second))
        history.note(status_at(second, started=second))
    found = history.points("main|x")
    assert found[-1].at - found[0].at <= timedelta(seconds=HISTORY_SECONDS)
    assert found[-1].rate == pytest.approx(60)
    assert history.points("other") == []


def test_refusals_and_standstills_are_drawn_and_worded() -> None:
    history = History()
    for second in range(0, 60, 2):
        history.note(status_at(second, started=second, refused=2 if second > 30 else 0, suspended="x" * (second > 40)))
    drawn = chart("main|x", history.points("main|x"), 500, 450, START + timedelta(seconds=60))
    assert drawn.count('class="refused"') == 1
    assert drawn.count('class="paused"') == 9
    assert "60 images a minute against a ceiling of 500; 2 refusals" in drawn


@given(
    rates=st.lists(st.integers(0, 100_000), min_size=7, max_size=40),
    ceiling=st.none() | st.floats(0, 1e6),
    late=st.integers(0, 5_000),
)
def test_every_line_stays_within_its_drawing(rates: list[int], ceiling: float | None, late: int) -> None:
    found = points(samples(sorted(rates)))
    drawn = chart("p", found, ceiling, None, START + timedelta(seconds=late))
    pairs = drawn.partition('points="')[2].partition('"')[0].split()
    for pair in pairs:
        x, y = map(float, pair.split(","))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_a_parked_job_may_wait_for_its_batch_and_not_for_a_person() -> None:
    seen = Seen(status={"totals": {"parked": 2}}, month={}, caps=(), calls={}, webhooks={})
    assert "2 jobs wait for a person or a batch." in [finding.text for finding in findings(seen, START)]


def test_the_worst_finding_comes_first() -> None:
    status = {
        "totals": {"queued": 5, "parked": 1},
        "workers": [{"name": "w"}],
        "suspended": True,
        "queues": [
            {"name": "a.high", "oldest_s": 7_300.0, "queued": 5},
            {"name": "b.low", "served": False, "queued": 1},
        ],
        "pools": [{"name": "p", "paused_until": (START + timedelta(seconds=90)).isoformat(), "pause_reason": "429"}],
    }
    caps = [CapUse(name="main", used_nano=8, cap_nano=10), CapUse(name="full", used_nano=10, cap_nano=10)]
    found = findings(Seen(status=status, month={}, caps=caps, calls={}, webhooks={}), START)
    assert [finding.level for finding in found] == ["bad"] * 3 + ["warn"] * 4
    texts = " ".join(finding.text for finding in found)
    for said in (
        "No organization serves b.low",
        "waited for 2 h 1 min",
        "p is paused for 1 min 30 s: 429",
        "1 job waits",
    ):
        assert said in texts


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0", "$0.00"), ("0.04", "$0.04"), ("0.0053", "$0.0053"), ("0.000001", "$0.000001"), ("1234.567", "$1,234.57"),
     ("-3", "-$3.00"), ("0.040662", "$0.0407"), ("999999.99", "$999,999.99")],
)  # fmt: skip
def test_money_reads_as_people_write_it(amount: str, shown: str) -> None:
    assert usd(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0123, "12 ms"), (3.04, "3.0 s"), (59, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (3_601, "1 h"),
     (90_000, "1 d 1 h")],
)  # fmt: skip
def test_time_reads_by_its_two_largest_units(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_numbers_read_with_thousands_and_a_dash_for_none() -> None:
    assert [count(1_000_000), count(2.5), count(None), share(None)] == ["1,000,000", "2.5", NONE, NONE]
    assert plural(1, "call is", "calls are") == "1 call is"
    assert plural(2_000, "job") == "2,000 jobs"


def test_what_is_no_figure_is_read_as_none() -> None:
    assert usd_at({"usd": "nonsense"}, "usd") is None
    assert usd_at({"usd": "NaN"}, "usd") is None
    assert moment_at({"at": "yesterday"}, "at") is None
    assert count_at({"n": True}, "n") == 0
    assert count_at([], "n") == 0
