"""Moments as the database keeps them: whole microseconds since 1970 in UTC, and UTC days as `YYYY-MM-DD`."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
DAY_US: Final = 86_400_000_000


def microseconds(moment: datetime) -> int:
    """Return the moment as microseconds since 1970, exactly; ValueError when it carries no time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment in the ledger carries its time zone")
    return (moment - EPOCH) // MICROSECOND


def microseconds_or_none(moment: datetime | None) -> int | None:
    """Return `microseconds` of a moment that may be missing."""
    return None if moment is None else microseconds(moment)


def moment(at_us: int) -> datetime:
    """Return the aware UTC moment of microseconds since 1970."""
    return EPOCH + at_us * MICROSECOND


def moment_or_none(at_us: int | None) -> datetime | None:
    """Return `moment` of microseconds that may be missing."""
    return None if at_us is None else moment(at_us)


def day(at_us: int) -> str:
    """Return the UTC day of microseconds since 1970, e.g. `2026-11-22`."""
    return moment(at_us).date().isoformat()


def start_of_next_day(day_text: str) -> datetime:
    """Return the UTC midnight that ends the day."""
    return _midnight(date.fromisoformat(day_text) + timedelta(days=1))


def start_of_next_month(day_text: str) -> datetime:
    """Return the UTC midnight that ends the day's month."""
    first = date.fromisoformat(day_text).replace(day=1)
    return _midnight((first + timedelta(days=31)).replace(day=1))


def _midnight(of: date) -> datetime:
    return datetime(of.year, of.month, of.day, tzinfo=UTC)
