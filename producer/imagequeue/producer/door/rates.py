"""How often each key may ask: a bucket of one minute's requests for each, in this process."""

from dataclasses import dataclass
from typing import Final

BUCKETS_MAX: Final = 10_000


@dataclass
class _Bucket:
    level: float
    at_seconds: float


class Rates:
    """Counts requests by key. Each door process counts for itself; a restart fills all buckets."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    def wait_seconds(self, key_id: str, per_minute: int, now_seconds: float, cost: int = 1) -> float:
        """Take `cost` requests and return 0, or take nothing and return the seconds until one may be taken.

        A request that costs more than is left is let in and leaves a debt, which later ones wait for: many jobs in
        one request are as good as many requests, and no request is too large for ever.
        """
        bucket = self._bucket(key_id, per_minute, now_seconds)
        elapsed = max(0.0, now_seconds - bucket.at_seconds)
        bucket.level = min(float(per_minute), bucket.level + elapsed * per_minute / 60)
        bucket.at_seconds = now_seconds
        if bucket.level < 1:
            return (1 - bucket.level) * 60 / per_minute
        bucket.level -= cost
        return 0.0

    def charge(self, key_id: str, per_minute: int, now_seconds: float, cost: int) -> None:
        """Take `cost` more for a request that was let in and turned out to hold many jobs."""
        self._bucket(key_id, per_minute, now_seconds).level -= cost

    def _bucket(self, key_id: str, per_minute: int, now_seconds: float) -> _Bucket:
        found = self._buckets.get(key_id)
        if found is None:
            if len(self._buckets) >= BUCKETS_MAX:
                self._buckets.pop(next(iter(self._buckets)))
            found = self._buckets[key_id] = _Bucket(level=float(per_minute), at_seconds=now_seconds)
        return found
