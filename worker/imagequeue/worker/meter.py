"""Counts and durations of one worker since they were last told. Memory only; `reporting` takes them to Redis."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

from imagequeue.queue.measured import ABOVE, COUNT, SUM, US_PER_SECOND, Series
from imagequeue.queue.measures import Measure

SERIES_MAX: Final = 4_000
"""More different series than this are not counted: labels are of the configuration, so there are far fewer."""


class Meter:
    """What a worker measured. Used by the event loop alone."""

    def __init__(self) -> None:
        self._counts: dict[Series, int] = {}

    def count(self, measure: Measure, *labels: str) -> None:
        """Count one more."""
        self._add((measure.name, labels, COUNT), 1)

    def observe(self, measure: Measure, seconds: float, *labels: str) -> None:
        """Note one duration."""
        place = bisect_left(measure.bounds, seconds)
        part = str(place) if place < len(measure.bounds) else ABOVE
        self._add((measure.name, labels, part), 1)
        self._add((measure.name, labels, SUM), round(max(seconds, 0.0) * US_PER_SECOND))

    def take(self) -> Mapping[Series, int]:
        """Return what was counted since the last time."""
        taken, self._counts = self._counts, {}
        return taken

    def put_back(self, taken: Mapping[Series, int]) -> None:
        """Count again what could not be told."""
        for series, count in taken.items():
            self._add(series, count)

    def _add(self, series: Series, more: int) -> None:
        known = self._counts.get(series)
        if known is None and len(self._counts) >= SERIES_MAX:
            return
        self._counts[series] = (known or 0) + more
