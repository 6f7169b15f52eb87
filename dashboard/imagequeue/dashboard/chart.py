"""Draws a pool's pace against its ceiling as a line, with refusals and pauses marked. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from imagequeue.dashboard.history import HISTORY_SECONDS, Point
from imagequeue.dashboard.html import Html, el
from imagequeue.dashboard.shown import count, plural

WIDTH: Final = 600
HEIGHT: Final = 120
HEADROOM: Final = 1.08


def chart(name: str, points: Sequence[Point], ceiling: float | None, pace: float | None, now: datetime) -> Html:
    """Return the drawing, worded for those who do not see it."""
    top = HEADROOM * max([point.rate for point in points] + [ceiling or 0.0, pace or 0.0, 1.0])
    return el(
        "svg",
        [_paused(point, before, now) for before, point in pairwise(points) if point.stopped],
        _level("ceiling", ceiling, top),
        _level("pace", pace, top),
        [_refused(point, now) for point in points if point.refused],
        el("polyline", points=" ".join(f"{_x(point.at, now)},{_y(point.rate, top)}" for point in points)),
        class_="chart",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=worded(name, points, ceiling),
    )


def worded(name: str, points: Sequence[Point], ceiling: float | None) -> str:
    """Return what the drawing shows in words."""
    if not points:
        return f"{name}: the line begins within a minute"
    against = "no ceiling" if ceiling is None else f"a ceiling of {count(ceiling)}"
    refusals = plural(sum(point.refused for point in points), "refusal")
    return f"{name}: {count(points[-1].rate)} images a minute against {against}; {refusals} in the last minutes"


def _level(kind: str, value: float | None, top: float) -> Html | None:
    if value is None:
        return None
    y = _y(value, top)
    return el("line", class_=kind, x1=0, x2=WIDTH, y1=y, y2=y)


def _refused(point: Point, now: datetime) -> Html:
    x = _x(point.at, now)
    return el("line", class_="refused", x1=x, x2=x, y1=HEIGHT - 14, y2=HEIGHT)


def _paused(point: Point, before: Point, now: datetime) -> Html:
    left, right = _x(before.at, now), _x(point.at, now)
    return el("rect", class_="paused", x=left, y=0, width=round(max(right - left, 1.0), 1), height=HEIGHT)


def _x(at: datetime, now: datetime) -> float:
    age = max(now - at, timedelta()).total_seconds()
    return round(WIDTH * (1 - min(age / HISTORY_SECONDS, 1.0)), 1)


def _y(rate: float, top: float) -> float:
    return round(HEIGHT * (1 - rate / top), 1)
