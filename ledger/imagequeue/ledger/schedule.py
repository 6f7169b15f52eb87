"""Which days of an organization are to be reconciled now. Pure.

A provider's figures come late, and how late is not published, so a day is looked at three times: some hours after it,
when it is over for a day (what is not on the bill then was not billed), and once more for what came later still.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

CHECKS_AFTER: Final = (timedelta(hours=6), timedelta(hours=30), timedelta(hours=78))
"""How long after the end of a day each look at its bill is taken."""
DAYS_BACK_MAX: Final = 35
RETRY_SECONDS: Final = 300.0
RETRY_SECONDS_MAX: Final = 6 * 3600.0


def first_check(day: str) -> datetime:
    """Return when a day is looked at for the first time."""
    return end_of(day) + CHECKS_AFTER[0]


def next_check(day: str, checked: datetime) -> datetime | None:
    """Return when a day that was looked at at `checked` is looked at again, None for never."""
    later = [end_of(day) + after for after in CHECKS_AFTER if end_of(day) + after > checked]
    return later[0] if later else None


def retry_after(tries: int) -> timedelta:
    """Return how long to wait after the `tries`-th failure in a row."""
    return timedelta(seconds=min(RETRY_SECONDS * 2 ** (min(tries, 16) - 1), RETRY_SECONDS_MAX))


def due_days(active: Iterable[str], checks: Mapping[str, datetime | None], now: datetime) -> list[str]:
    """Return the days to look at now, the oldest first.

    `active` are the days with calls; `checks` says when each day is to be looked at next, None for never again.
    """
    oldest = (now - timedelta(days=DAYS_BACK_MAX)).astimezone(UTC).date().isoformat()
    days = sorted({*active, *checks})
    return [day for day in days if day >= oldest and _is_due(day, checks, now)]


def _is_due(day: str, checks: Mapping[str, datetime | None], now: datetime) -> bool:
    at = checks[day] if day in checks else first_check(day)
    return at is not None and at <= now


def end_of(day: str) -> datetime:
    """Return the UTC midnight that ends a day."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
