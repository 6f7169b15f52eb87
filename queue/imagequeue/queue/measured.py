"""The totals of what workers measured, added up in Redis, so that they go on when a worker ends.

`<own>:measured`: hash; measure, label values and part, with tabs between them -> whole number. A part of a histogram is
the place of a bucket, `more` for what is above all, or `us`, the sum in microseconds; a counter has the part `n`.
`<own>:vitals:<worker>`: JSON of one worker's figures of this moment; it goes by itself when the worker is silent.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagequeue.queue.measures import MEASURES, Measure
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text

SEPARATOR: Final = "\t"
ABOVE: Final = "more"
SUM: Final = "us"
COUNT: Final = "n"
SERIES_MAX: Final = 20_000
"""More fields than this are not read: somebody else wrote them."""
VITALS_SECONDS: Final = 30
WORKERS_MAX: Final = 1_000
US_PER_SECOND: Final = 1_000_000

Series = tuple[str, tuple[str, ...], str]
"""A measure's name, its label values, and the part."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts by bucket, the last of them above all bounds, and the sum in seconds."""

    counts: tuple[int, ...]
    sum_seconds: float


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """One worker at this moment: what waits for its ledger, how long a commit has lasted, how late its loop was."""

    ledger_backlog: int = 0
    ledger_stalled_seconds: float = 0.0
    loop_lag_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything that was measured, by measure and label values."""

    counters: Mapping[str, Mapping[tuple[str, ...], int]]
    histograms: Mapping[str, Mapping[tuple[str, ...], Histogram]]


async def add_measured(scripts: Scripts, more: Mapping[Series, int]) -> None:
    """Add to the totals, all in one transaction; after an error it is not known whether it took place."""
    if not more:
        return
    pipe = scripts.redis.pipeline(transaction=True)
    for (name, labels, part), count in more.items():
        pipe.hincrby(_totals_key(scripts), SEPARATOR.join((name, *labels, part)), count)
    await pipe.execute()


async def read_measured(scripts: Scripts) -> Measured:
    """Return the totals; what nobody here knows is left out."""
    found: dict[tuple[str, tuple[str, ...]], dict[str, int]] = {}
    if await scripts.redis.hlen(_totals_key(scripts)) <= SERIES_MAX:
        for field, value in (await scripts.redis.hgetall(_totals_key(scripts))).items():
            name, *labels, part = text(field).split(SEPARATOR)
            found.setdefault((name, tuple(labels)), {})[part] = int(value)
    return measured_of(found)


def measured_of(found: Mapping[tuple[str, tuple[str, ...]], Mapping[str, int]]) -> Measured:
    """Return the totals from their parts. Pure."""
    counters: dict[str, dict[tuple[str, ...], int]] = {one.name: {} for one in MEASURES if not one.bounds}
    histograms: dict[str, dict[tuple[str, ...], Histogram]] = {one.name: {} for one in MEASURES if one.bounds}
    known = {one.name: one for one in MEASURES}
    for (name, labels), parts in sorted(found.items()):
        measure = known.get(name)
        if measure is None or len(labels) != len(measure.labels):
            continue
        if measure.bounds:
            histograms[name][labels] = _histogram(measure, parts)
        else:
            counters[name][labels] = parts.get(COUNT, 0)
    return Measured(counters=counters, histograms=histograms)


def _histogram(measure: Measure, parts: Mapping[str, int]) -> Histogram:
    places = [str(place) for place in range(len(measure.bounds))]
    counts = tuple(parts.get(place, 0) for place in (*places, ABOVE))
    return Histogram(counts=counts, sum_seconds=parts.get(SUM, 0) / US_PER_SECOND)


async def tell_vitals(scripts: Scripts, worker: str, vitals: Vitals) -> None:
    """Say how a worker is at this moment."""
    value = json.dumps([vitals.ledger_backlog, vitals.ledger_stalled_seconds, vitals.loop_lag_seconds])
    await scripts.redis.set(_vitals_key(scripts, worker), value, ex=VITALS_SECONDS)


async def read_vitals(scripts: Scripts, workers: Sequence[str]) -> tuple[Vitals, ...]:
    """Return how those of the workers are that said so lately."""
    names = [_vitals_key(scripts, worker) for worker in workers[:WORKERS_MAX]]
    values = await scripts.redis.mget(names) if names else []
    return tuple(_vitals(value) for value in values if value is not None)


def _vitals(value: bytes | str) -> Vitals:
    backlog, stalled, lag = json.loads(value)
    return Vitals(ledger_backlog=int(backlog), ledger_stalled_seconds=float(stalled), loop_lag_seconds=float(lag))


def _totals_key(scripts: Scripts) -> str:
    return f"{scripts.keys.own}:measured"


def _vitals_key(scripts: Scripts, worker: str) -> str:
    return f"{scripts.keys.own}:vitals:{worker}"
