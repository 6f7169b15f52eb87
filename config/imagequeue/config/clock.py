"""The time of day, always aware and in UTC. Where machines must agree, the Redis server's clock decides instead."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; tests pass one that they can set."""

    def now(self) -> datetime:
        """Return the aware UTC time."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the aware UTC time."""
        return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """Return ISO 8601 with microseconds and `Z`, e.g. `2026-11-22T00:46:47.000000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def iso_of_seconds(seconds: float) -> str:
    """Return `iso` of a Unix time in seconds."""
    return iso(datetime.fromtimestamp(seconds, UTC))
