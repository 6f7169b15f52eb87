"""When a webhook that did not arrive is sent again, and what an answer means. Pure: no clock, no I/O.

The schedule and the meaning of answers are those of Standard Webhooks 1.0 (spec/standard-webhooks.md, "Webhook delivery
retries and failures"): 2xx arrived, everything else failed, redirects too; 410 ends the endpoint; 429, 502 and 504 ask
for fewer messages.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

MINUTE, HOUR = 60.0, 3600.0
DELAYS_SECONDS: Final = (
    0.0, 5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR,
)  # fmt: skip
"""Before each try, from the one before it; after the last one a message is given up."""
TRIES_MAX: Final = len(DELAYS_SECONDS)
JITTER: Final = 0.1
"""A delay is longer by up to this share, so that what failed together does not come back together."""

THROTTLED: Final = frozenset({429, 502, 504})
GONE: Final = 410
THROTTLE_SECONDS: Final = 30.0
RETRY_AFTER_SECONDS_MAX: Final = 24 * HOUR


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """The receiver has the message."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The receiver has it not, or did not say so.

    `gone`: it wants no message ever again. `pause_seconds`: it wants none for so long, 0 when it said nothing of that.
    """

    why: str
    gone: bool = False
    pause_seconds: float = 0.0


def judge(status: int, retry_after: str | None, now: datetime) -> Arrived | Failed:
    """Return what the status of an answer means."""
    if 200 <= status < 300:
        return Arrived()
    if status == GONE:
        return Failed(why="answered 410: gone", gone=True)
    if 300 <= status < 400:
        return Failed(why=f"answered {status}: redirects are not followed")
    asked = _retry_after_seconds(retry_after, now)
    pause = max(asked, THROTTLE_SECONDS) if status in THROTTLED else asked
    return Failed(why=f"answered {status}", pause_seconds=min(pause, RETRY_AFTER_SECONDS_MAX))


def next_try(now: datetime, *, tries: int, pause_seconds: float, chance: float) -> datetime | None:
    """Return when to try again after `tries` tries; None: never. `chance` is from 0 to 1."""
    if tries >= TRIES_MAX:
        return None
    delay = DELAYS_SECONDS[tries] * (1 + JITTER * chance)
    return now + timedelta(seconds=max(delay, pause_seconds))


def _retry_after_seconds(value: str | None, now: datetime) -> float:
    if not value:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max((parsedate_to_datetime(value) - now).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return 0.0
