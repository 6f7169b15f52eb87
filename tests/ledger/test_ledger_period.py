"""Periods: whole days from kept sums and parts of days from rows make together exactly the time that was asked for."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import ManualClock, ending, held, image, opened, settlement

from imagequeue.ledger import groups
from imagequeue.ledger.api import CacheHit, JobFacts
from imagequeue.ledger.moments import day, microseconds
from imagequeue.ledger.period import Part, Period, period, the_rest, whole_day

START = datetime(2026, 11, 20, tzinfo=UTC)
MOMENTS = st.none() | st.integers(0, 4 * 8).map(lambda eighths: START + timedelta(hours=3 * eighths))


def covers(over: Period, at: datetime) -> int:
    """Return how often a moment is in the period: once or not at all."""
    at_us, today = microseconds(at), day(microseconds(at))
    whole = not over.no_days
    whole &= (over.first_day is None or today >= over.first_day) and (over.end_day is None or today < over.end_day)
    return whole + sum(
        part.day == today
        and (part.since_us is None or at_us >= part.since_us)
        and (part.until_us is None or at_us < part.until_us)
        for part in over.parts
    )


@given(MOMENTS, MOMENTS, st.integers(-2, 4 * 8 + 2))
def test_every_moment_of_the_time_is_covered_once_and_no_other(
    since: datetime | None, until: datetime | None, eighths: int
) -> None:
    at = START + timedelta(hours=3 * eighths)
    wanted = (since is None or at >= since) and (until is None or at < until)
    assert covers(period(since, until), at) == wanted


@given(MOMENTS, MOMENTS, st.integers(0, 8 * 8 - 1))
def test_a_part_and_the_rest_of_its_day_are_the_day(
    since: datetime | None, until: datetime | None, sixteenths: int
) -> None:
    for part in period(since, until).parts:
        rest = the_rest(part)
        assert part.seconds + sum(other.seconds for other in rest) == 86_400
        at = datetime.fromisoformat(part.day).replace(tzinfo=UTC) + timedelta(hours=1.5 * (sixteenths % 16))
        both = Period(no_days=True, parts=(part, *rest))
        assert covers(both, at) == covers(whole_day(part), at) == 1


def test_the_parts_of_a_day_without_ends_are_the_day() -> None:
    assert Part(day="2026-11-20").seconds == 86_400
    assert the_rest(Part(day="2026-11-20")) == ()


def test_a_part_of_a_day_is_the_same_from_its_rows_and_from_the_rest_of_the_day(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every grouping; a correction, which belongs to no part of a day, is in neither."""

    async def story() -> None:
        clock = ManualClock(START)
        async with opened(ledger_url, clock) as ledger:
            for n in range(10):
                tags = {"k": str(n % 3)} if n % 2 else {}
                hold = await held(ledger, f"job{n}", tenant=f"t{n % 2}", tags=tags, intent=f"i{n}" if n % 3 else None)
                clock.forward(hours=3)
                if n % 4 == 3:
                    await ledger.void(hold.attempt_id, ending())
                elif n % 5:
                    await ledger.settle(hold.attempt_id, settlement(70_000_000 if n == 6 else n))
                    await ledger.keep(f"job{n}")
            hit = CacheHit(images=(image(),), saved_nano=7)
            await ledger.record_outcome("hit", hit, JobFacts(model="dall-e-3", org="main", tags={"k": "1"}))
            today = day(microseconds(START))
            await ledger.correct("main", today, 11, model="dall-e-3", reason="a bill", source="bill 1")
            for names in ([], ["model", "day"], ["tenant"], ["tag:k"], ["day", "tag:k", "tenant"], ["intent", "tag:k"]):
                for tenant in (None, "t1"):
                    for hours in ((1, 23), (5, 40), (7, None), (None, 31)):
                        since, until = (None if h is None else START + timedelta(hours=h) for h in hours)
                        reports = []
                        for seconds in (0.0, 86_400.0):
                            monkeypatch.setattr(groups, "LONG_PART_SECONDS", seconds)
                            reports.append(await ledger.summary(names, since, until, tenant=tenant))
                        assert reports[0] == reports[1]
                        assert reports[0].total.settled or tenant

    asyncio.run(story())


def test_reports_of_the_parts_add_up_to_the_whole(ledger_url: str) -> None:
    """Answers that come after midnight count with their hold, on both sides of every cut."""

    async def story() -> None:
        clock = ManualClock(START)
        async with opened(ledger_url, clock) as ledger:
            for n in range(12):
                hold = await held(ledger, f"job{n}", tags={"k": str(n % 3)}, intent=f"i{n % 4}")
                clock.forward(hours=7)
                await ledger.settle(hold.attempt_id, settlement(n + 1))
                await ledger.keep(f"job{n}")
            for names in ([], ["tag:k"], ["intent"], ["intent", "tag:k", "day"]):
                whole = (await ledger.summary(names)).total
                for hours in (0, 5, 24, 31, 60):
                    cut = START + timedelta(hours=hours)
                    parts = [(await ledger.summary(names, until=cut)).total, (await ledger.summary(names, cut)).total]
                    assert sum(part.settled_nano for part in parts) == whole.settled_nano
                    assert sum(part.kept_images for part in parts) == whole.kept_images == 12
                    assert sum(part.intents for part in parts) == whole.intents == 4

    asyncio.run(story())
