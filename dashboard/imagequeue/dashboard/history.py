"""The pace of each pool over the last minutes, from the readings that viewers caused, kept in memory."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from imagequeue.dashboard.values import Json, count_at, moment_at, number_at, rows_at, text_at

HISTORY_SECONDS: Final = 600
SAMPLES_MAX: Final = 400
SAMPLE_SECONDS: Final = 1.5
"""Readings closer together than this tell nothing new."""
RATE_SECONDS: Final = 60.0
"""A rate is what was started in the last minute, however few that are."""
RATE_SECONDS_MIN: Final = 10.0
STARTS_MIN: Final = 10
"""Over less time, or over less than a minute with fewer starts, no rate is told: it would swing above a low ceiling."""
POOLS_MAX: Final = 200


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One pool at one moment: what it had started and was refused by then, and whether it stood still."""

    at: datetime
    started: int
    refused: int
    stopped: bool


@dataclass(frozen=True, kw_only=True)
class Point:
    """Images a minute up to a moment; `refused`: refusals since the point before."""

    at: datetime
    rate: float
    refused: int
    stopped: bool


class History:
    """Remembers samples by pool, so many at most."""

    def __init__(self) -> None:
        self._samples: OrderedDict[str, deque[Sample]] = OrderedDict()

    def note(self, status: Json) -> None:
        """Take a reading; one that is no newer than the last is passed over."""
        at = moment_at(status, "at")
        if at is None:
            return
        for pool in rows_at(status, "pools")[:POOLS_MAX]:
            if is_told(pool):
                self._add(text_at(pool, "name"), _sample(pool, at))

    def points(self, pool: str) -> list[Point]:
        """Return the points of a pool, the oldest first; none before there are two readings."""
        return points(list(self._samples.get(pool, ())))

    def _add(self, pool: str, sample: Sample) -> None:
        line = self._samples.setdefault(pool, deque(maxlen=SAMPLES_MAX))
        if line and (sample.at - line[-1].at).total_seconds() < SAMPLE_SECONDS:
            return
        line.append(sample)
        while (sample.at - line[0].at).total_seconds() > HISTORY_SECONDS:
            line.popleft()
        self._samples.move_to_end(pool)
        while len(self._samples) > POOLS_MAX:
            self._samples.popitem(last=False)


def is_told(pool: Json) -> bool:
    """Return whether a viewer may know what a pool started; the key of one tenant may not."""
    return number_at(pool, "images_started") is not None


def points(samples: list[Sample]) -> list[Point]:
    """Return the pace at each sample but the first, over the time before it; a restarted count begins anew."""
    found: list[Point] = []
    first = 0
    for last in range(1, len(samples)):
        while first < last - 1 and (samples[last].at - samples[first].at).total_seconds() > RATE_SECONDS:
            first += 1
        if samples[last].started < samples[first].started:
            first = last
            continue
        seconds = (samples[last].at - samples[first].at).total_seconds()
        started = samples[last].started - samples[first].started
        if seconds < RATE_SECONDS_MIN or (started < STARTS_MIN and seconds < RATE_SECONDS - 2 * SAMPLE_SECONDS):
            continue
        found.append(
            Point(
                at=samples[last].at,
                rate=started * 60 / seconds,
                refused=max(0, samples[last].refused - samples[last - 1].refused),
                stopped=samples[last].stopped,
            )
        )
    return found


def _sample(pool: Json, at: datetime) -> Sample:
    paused_until = moment_at(pool, "paused_until")
    return Sample(
        at=at,
        started=int(number_at(pool, "images_started") or 0),
        refused=count_at(pool, "calls_refused"),
        stopped=bool(text_at(pool, "suspended")) or (paused_until is not None and paused_until > at),
    )
