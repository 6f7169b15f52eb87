"""Token bucket of one organization and limit group: images and tokens a minute, charged together or not at all.

Refills without steps, as recorded refusals of the provider do: their waits are one image's refill time (60 s / limit).
"""

from dataclasses import dataclass
from typing import Final, Literal

ROUNDING: Final = 1e-6  # of one image or token: float steps must not refuse a caller that keeps the exact pace

Dimension = Literal["images", "tokens"]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Why a request does not pass, and in how many seconds it would."""

    dimension: Dimension
    limit_per_minute: float
    used: float
    requested: int
    wait_seconds: float


class Bucket:
    """One dimension. `depth_seconds` of the rate may arrive at once, and never less than one unit.

    A request bigger than the bucket passes when the bucket is full and leaves a debt, so that it is slow and not
    impossible.
    """

    def __init__(self, *, limit_per_minute: float, depth_seconds: float, now: float) -> None:
        self.limit_per_minute = limit_per_minute
        self._per_second = limit_per_minute / 60.0
        self._capacity = max(1.0, self._per_second * depth_seconds)
        self._level = self._capacity
        self._at = now

    def level(self, now: float) -> float:
        """Return how much could be taken at `now` (monotonic seconds); negative while in debt."""
        self._level = min(self._capacity, self._level + max(0.0, now - self._at) * self._per_second)
        self._at = max(now, self._at)
        return self._level

    def wait_seconds(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` passes, 0 when it passes now."""
        missing = min(amount, self._capacity) - self.level(now)
        return 0.0 if missing <= ROUNDING else missing / self._per_second

    def take(self, amount: float, now: float) -> None:
        """Charge `amount`, into debt if need be, but never deeper than one minute of the rate."""
        self._level = max(self.level(now) - amount, -max(self.limit_per_minute, amount))

    def used(self, now: float) -> float:
        """Return the used share of the bucket, told as a share of the limit a minute."""
        return self.limit_per_minute * min(1.0, 1.0 - self.level(now) / self._capacity)

    def full_in_seconds(self, now: float) -> float:
        """Return the seconds until the bucket is full again."""
        return (self._capacity - self.level(now)) / self._per_second


class Gate:
    """Both dimensions of one limit group; None means not limited."""

    def __init__(self, *, images: Bucket | None, tokens: Bucket | None, refused_calls_count: bool) -> None:
        self.images = images
        self.tokens = tokens
        self._refused_calls_count = refused_calls_count

    def enter(self, *, images: int, tokens: int, now: float) -> Refused | None:
        """Charge the request to both dimensions, or return why it does not pass."""
        wanted: list[tuple[Dimension, Bucket, int]] = []
        if self.images is not None:
            wanted.append(("images", self.images, images))
        if self.tokens is not None:
            wanted.append(("tokens", self.tokens, tokens))
        refused = _longest_wait(wanted, now)
        if refused is None or self._refused_calls_count:
            for _, bucket, amount in wanted:
                bucket.take(amount, now)
        return refused


def _longest_wait(wanted: list[tuple[Dimension, Bucket, int]], now: float) -> Refused | None:
    waits = [(bucket.wait_seconds(amount, now), name, bucket, amount) for name, bucket, amount in wanted]
    seconds, name, bucket, amount = max(waits, key=lambda wait: wait[0], default=(0.0, "images", None, 0))
    if bucket is None or seconds <= 0:
        return None
    return Refused(
        dimension="tokens" if name == "tokens" else "images",
        limit_per_minute=bucket.limit_per_minute,
        used=bucket.used(now),
        requested=amount,
        wait_seconds=seconds,
    )
