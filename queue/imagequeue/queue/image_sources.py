"""Where the images of the last day came from: calls, stored results, or calls that were joined. Counted by settle.lua.

`<own>:images:<hours since 1970>` is a hash, "<source> <model>" -> images; each is kept for two days.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from imagequeue.queue.scripts import Scripts
from imagequeue.queue.status import CacheStatus
from imagequeue.queue.text import text

HOURS: Final = 24
HOUR_SECONDS: Final = 3600


@dataclass(frozen=True, kw_only=True)
class ImageSources:
    """Images by source and model."""

    images: Mapping[tuple[str, str], int]

    def status(self) -> CacheStatus:
        """Return the figures of all models."""
        made, stored, joined = (self._count(source) for source in ("made", "stored", "joined"))
        rate = self._hit_rate(None)
        return CacheStatus(
            window_s=HOURS * HOUR_SECONDS,
            made=made,
            stored=stored,
            joined=joined,
            hit_rate=None if rate is None else round(rate, 4),
        )

    def effective(self, ceiling: float | None, models: Collection[str]) -> float | None:
        """Return the images a minute that some models' ceiling comes to; None where that cannot be said."""
        rate = self._hit_rate(models)
        if ceiling is None or rate is None or rate == 1:
            return None
        return round(ceiling / (1 - rate), 3)

    def _hit_rate(self, models: Collection[str] | None) -> float | None:
        made, stored, joined = (self._count(source, models) for source in ("made", "stored", "joined"))
        total = made + stored + joined
        return (stored + joined) / total if total else None

    def _count(self, source: str, models: Collection[str] | None = None) -> int:
        return sum(
            count
            for (kind, model), count in self.images.items()
            if kind == source and (models is None or model in models)
        )


async def read_sources(scripts: Scripts, now: datetime) -> ImageSources:
    """Return what was counted in the last day, to the hour."""
    hour = int(now.timestamp()) // HOUR_SECONDS
    pipe = scripts.redis.pipeline(transaction=False)
    for ago in range(HOURS):
        pipe.hgetall(f"{scripts.keys.own}:images:{hour - ago}")
    images: dict[tuple[str, str], int] = {}
    for row in cast("list[dict[bytes, bytes]]", await pipe.execute()):
        for name, count in row.items():
            source, _, model = text(name).partition(" ")
            images[source, model] = images.get((source, model), 0) + int(count)
    return ImageSources(images=images)
