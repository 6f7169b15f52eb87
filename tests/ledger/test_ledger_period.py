"""Periods: whole days from kept sums and parts of days from rows make together exactly the time that was asked for."""

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from ledger_values import ManualClock, held, opened, settlement

from imagequeue.ledger.moments import day, microseconds
from imagequeue.ledger.period import Period, period

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
