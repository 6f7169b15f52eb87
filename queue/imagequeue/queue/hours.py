"""How far each pool's ceilings were used, hour by hour: the counters of starts as they stood when each hour began.

`<own>:hours:<pool>`: hash, hours since 1970 -> [images started, tokens started, images a minute, tokens a minute], the
last two being the ceilings (null for none). The first worker that looks in an hour writes it; the difference of two
hours is what was started between them. HOURS_KEPT of them are kept.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from imagequeue.config.catalog import Limits
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text

HOUR_SECONDS: Final = 3600
MINUTES: Final = 60
HOURS_KEPT: Final = 24 * 15
GAP_HOURS_MAX: Final = 3
"""Over a longer gap, in which nobody looked, nothing is said."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A pool's counters at the beginning of an hour, and its ceilings then."""

    hour: int
    images: int
    tokens: int
    images_per_minute: float | None
    tokens_per_minute: float | None


@dataclass(frozen=True, kw_only=True)
class UsedHour:
    """What was used of a pool's ceilings in one hour, as shares of 1; `images` started. None: no such ceiling."""

    hour: int
    images: int
    of_images: float | None
    of_tokens: float | None

    @property
    def share(self) -> float:
        """The share of the ceiling that was nearest."""
        return max(self.of_images or 0.0, self.of_tokens or 0.0)


def hour_of(moment: datetime) -> int:
    """Return the hours since 1970."""
    return int(moment.timestamp()) // HOUR_SECONDS


async def note_hour(scripts: Scripts, hour: int, ceilings: Mapping[str, Limits]) -> None:
    """Note the counters of the pools at the beginning of an hour, unless another worker did; forget old hours."""
    pipe = scripts.redis.pipeline(transaction=False)
    for pool in ceilings:
        pipe.hmget(f"{scripts.keys.own}:pool:{pool}", ("starts", "tokens"))
    rows = await pipe.execute() if ceilings else []
    pipe = scripts.redis.pipeline(transaction=False)
    for (pool, limits), (images, tokens) in zip(ceilings.items(), rows, strict=True):
        value = [int(images or 0), int(tokens or 0), limits.images_per_minute, limits.tokens_per_minute]
        pipe.hsetnx(_key(scripts, pool), str(hour), json.dumps(value))
        pipe.hdel(_key(scripts, pool), *(str(hour - HOURS_KEPT - ago) for ago in range(1, HOURS_KEPT)))
        pipe.expire(_key(scripts, pool), HOURS_KEPT * HOUR_SECONDS)
    await pipe.execute()


async def read_hours(scripts: Scripts, pools: Sequence[str]) -> dict[str, tuple[UsedHour, ...]]:
    """Return what was used of each pool in the hours that are over, oldest first."""
    pipe = scripts.redis.pipeline(transaction=False)
    for pool in pools:
        pipe.hgetall(_key(scripts, pool))
    rows = await pipe.execute() if pools else []
    return {pool: used_hours([_reading(*pair) for pair in row.items()]) for pool, row in zip(pools, rows, strict=True)}


def used_hours(readings: Sequence[Reading]) -> tuple[UsedHour, ...]:
    """Return what was used between readings, in even parts over an hour in which nobody looked. Pure."""
    ordered = sorted(readings, key=lambda reading: reading.hour)
    found: list[UsedHour] = []
    for before, after in pairwise(ordered):
        hours, images, tokens = after.hour - before.hour, after.images - before.images, after.tokens - before.tokens
        if hours > GAP_HOURS_MAX or images < 0 or tokens < 0:  # a gap, or a server that began anew
            continue
        found += [
            UsedHour(
                hour=before.hour + step,
                images=images // hours,
                of_images=_share(images / hours, before.images_per_minute),
                of_tokens=_share(tokens / hours, before.tokens_per_minute),
            )
            for step in range(hours)
        ]
    return tuple(found)


def _share(in_an_hour: float, per_minute: float | None) -> float | None:
    return None if not per_minute else in_an_hour / (per_minute * MINUTES)


def _reading(field: bytes, value: bytes) -> Reading:
    images, tokens, images_per_minute, tokens_per_minute = json.loads(value)
    return Reading(
        hour=int(text(field)),
        images=int(images),
        tokens=int(tokens),
        images_per_minute=images_per_minute,
        tokens_per_minute=tokens_per_minute,
    )


def _key(scripts: Scripts, pool: str) -> str:
    return f"{scripts.keys.own}:hours:{pool}"
