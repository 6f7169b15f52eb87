"""The time of a report: the whole UTC days in it, whose sums are kept, and the parts of days at its ends. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, time

from imagequeue.ledger.moments import DAY_US, day, microseconds, start_of_next_day


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of one day, from a moment on and before another. None: from its start, to its end."""

    day: str
    since_us: int | None = None
    until_us: int | None = None

    @property
    def seconds(self) -> float:
        """How long it is."""
        start_us = microseconds(start_of_next_day(self.day)) - DAY_US
        since_us = start_us if self.since_us is None else self.since_us
        return ((start_us + DAY_US if self.until_us is None else self.until_us) - since_us) / 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """Whole days from `first_day` on and before `end_day` (None: without end), unless `no_days`; and parts of days.

    `tenant` is whose attempts of that time are meant, None for everybody's; `intents` those that are told apart, None
    for all.
    """

    first_day: str | None = None
    end_day: str | None = None
    no_days: bool = False
    parts: tuple[Part, ...] = ()
    tenant: str | None = None
    intents: tuple[str, ...] | None = None


def period(since: datetime | None = None, until: datetime | None = None) -> Period:
    """Return the period from `since` on and before `until`, moments with a time zone."""
    if since is not None and until is not None and since >= until:
        return Period(no_days=True)
    first, last = _day_of(since), _day_of(until)
    since_us, until_us = _within_day(since), _within_day(until)
    if since_us is not None and first == last:
        return Period(no_days=True, parts=(Part(day=first or "", since_us=since_us, until_us=until_us),))
    parts = []
    if first is not None and since_us is not None:
        parts.append(Part(day=first, since_us=since_us))
        first = day(microseconds(start_of_next_day(first)))
    if last is not None and until_us is not None:
        parts.append(Part(day=last, until_us=until_us))
    none = first is not None and last is not None and first >= last
    return Period(first_day=first, end_day=last, no_days=none, parts=tuple(parts))


def whole_day(part: Part) -> Period:
    """Return the day that the part is of."""
    return Period(first_day=part.day, end_day=day(microseconds(start_of_next_day(part.day))))


def the_rest(part: Part) -> tuple[Part, ...]:
    """Return what the part leaves out of its day."""
    before = () if part.since_us is None else (Part(day=part.day, until_us=part.since_us),)
    return before if part.until_us is None else (*before, Part(day=part.day, since_us=part.until_us))


def _day_of(moment: datetime | None) -> str | None:
    return None if moment is None else day(microseconds(moment))


def _within_day(moment: datetime | None) -> int | None:
    """Return the moment unless it is midnight, where a whole day begins."""
    if moment is None or moment.astimezone(UTC).time() == time(0):
        return None
    return microseconds(moment)
