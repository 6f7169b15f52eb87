"""What the headers of answers say of the true limits: a ceiling below the known one lowers the pace, none raises it.

`x-ratelimit-limit-images` is looked for although no official text has it; `-requests` counts calls, of which each makes
at least one image, so that it bounds images too. A figure whose reset lies further away than a minute can explain is of
another window (a day's, say) and is left alone.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from imagequeue.config.catalog import Limits
from imagequeue.config.errors import QueueUnavailable
from imagequeue.queue import pools
from imagequeue.queue.ceilings import Pool
from imagequeue.queue.reported import report_said
from imagequeue.queue.scripts import TROUBLE, Scripts

HEADERS: Final = {"images": ("images", "requests"), "tokens": ("tokens", "project-tokens")}
RESET_SECONDS_MAX: Final = 90.0
"""A limit per minute is whole again within a minute, and a reserve for rounding."""
LITTLE_LEFT_SHARE: Final = 0.02
LITTLE_LEFT_RESET_SECONDS: Final = 10.0
"""A small bucket is often empty and full again at once; only one that takes this long speaks of a used-up limit."""
PRESS_SECONDS: Final = 5.0
_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|s))?")

log = structlog.get_logger("imagequeue.worker")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What one answer says: ceilings per minute, None where it names none; which limit is nearly used up, if any."""

    images_per_minute: float | None = None
    tokens_per_minute: float | None = None
    header: str = ""
    little_left: str = ""


def said(headers: Mapping[str, str]) -> Said:
    """Return what an answer's headers (names in lower case) say of the limits. Pure."""
    images, tokens = (_lowest(headers, names) for names in HEADERS.values())
    little = next((name for names in HEADERS.values() for name in names if _little_left(headers, name)), "")
    named = " and ".join(f"x-ratelimit-limit-{name}" for name, _ in (images, tokens) if name)
    return Said(images_per_minute=images[1], tokens_per_minute=tokens[1], header=named, little_left=little)


class Hearing:
    """Notes what answers say, once for each change: all workers go by it."""

    def __init__(self, scripts: Scripts, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._scripts = scripts
        self._monotonic = monotonic
        self._noted: dict[tuple[str, str], tuple[float | None, float | None]] = {}
        self._pressed_at: dict[str, float] = {}

    def hear(self, pool: Pool, model: str, headers: Mapping[str, str]) -> Awaitable[None] | None:
        """Return what is to be done about an answer; None nearly always: it says what the one before said."""
        heard = said(headers)
        key, ceilings = (pool.name, model), (heard.images_per_minute, heard.tokens_per_minute)
        changed = self._noted.get(key, (None, None)) != ceilings
        now = self._monotonic()
        pressed = bool(heard.little_left) and now - self._pressed_at.get(pool.name, -PRESS_SECONDS) >= PRESS_SECONDS
        if not changed and not pressed:
            return None
        self._noted[key] = ceilings
        if pressed:
            self._pressed_at[pool.name] = now
        return self._note(pool, model, heard, changed=changed, pressed=pressed)

    async def _note(self, pool: Pool, model: str, heard: Said, *, changed: bool, pressed: bool) -> None:
        """Note it for all workers. Redis away: a later answer says it again."""
        try:
            if changed:
                await report_said(self._scripts, pool.name, model, _limits(heard))
            if pressed:
                reason = f"x-ratelimit-remaining-{heard.little_left} said that nearly nothing is left"
                await pools.press(self._scripts, pool.name, reason=reason)
        except (QueueUnavailable, *TROUBLE) as error:
            self._noted.pop((pool.name, model), None)
            log.debug("what an answer says of the limits is not noted", pool=pool.name, error=str(error))


def _limits(heard: Said) -> Limits | None:
    if heard.images_per_minute is None and heard.tokens_per_minute is None:
        return None
    return Limits(
        images_per_minute=heard.images_per_minute,
        tokens_per_minute=heard.tokens_per_minute,
        source=f"{heard.header} says",
    )


def _lowest(headers: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, float | None]:
    """The lowest ceiling per minute among headers of one dimension, and the header's last word."""
    found = [(limit, name) for name in names if (limit := _limit(headers, name)) is not None]
    if not found:
        return "", None
    limit, name = min(found)
    return name, limit


def _limit(headers: Mapping[str, str], name: str) -> float | None:
    limit = _number(headers.get(f"x-ratelimit-limit-{name}"))
    if not limit or _seconds(headers.get(f"x-ratelimit-reset-{name}")) > RESET_SECONDS_MAX:
        return None
    return limit


def _little_left(headers: Mapping[str, str], name: str) -> bool:
    limit, left = _limit(headers, name), _number(headers.get(f"x-ratelimit-remaining-{name}"))
    if limit is None or left is None or left > limit * LITTLE_LEFT_SHARE:
        return False
    return _seconds(headers.get(f"x-ratelimit-reset-{name}")) >= LITTLE_LEFT_RESET_SECONDS


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _seconds(text: str | None) -> float:
    """A duration as the provider writes it, `1s`, `6m0s`, `12ms`; a bare number is seconds; 0 for anything else."""
    bare = _number(text)
    if bare is not None:
        return bare
    found = _DURATION.fullmatch(text or "")
    if not found:
        return 0.0
    days, hours, minutes, amount, unit = found.groups()
    seconds = float(amount or 0) / (1000 if unit == "ms" else 1)
    return int(days or 0) * 86_400 + int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds
