"""How long a simulated call takes: fixed, uniform or lognormal seconds. Pure; the caller brings the random numbers."""

import math
import re
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from pydantic import ConfigDict

SECONDS_MAX: Final = 600.0

_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_TEXT: Final = re.compile(rf"(?:(fixed|uniform|lognormal):)?({_NUMBER})(?:,({_NUMBER}))?(?:,({_NUMBER}))?")
_FORMS: Final = "SECONDS, fixed:SECONDS, uniform:LOW,HIGH or lognormal:MEDIAN,SIGMA[,CEILING]"


@dataclass(frozen=True, kw_only=True)
class Latency:
    """A distribution of seconds.

    `fixed` is always `seconds`; `uniform` lies between `seconds` and `high_seconds`; `lognormal` has the median
    `seconds`, the shape `sigma`, and never more than `high_seconds`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Literal["fixed", "uniform", "lognormal"] = "fixed"
    seconds: float = 0.0
    high_seconds: float = SECONDS_MAX
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= self.high_seconds <= SECONDS_MAX:
            raise ValueError(f"latency: 0 <= seconds <= high_seconds <= {SECONDS_MAX:g}")
        if not 0 <= self.sigma <= 3:
            raise ValueError("latency: sigma from 0 to 3")

    def draw(self, random: Random) -> float:
        """Return the seconds of one call."""
        if self.kind == "uniform":
            return random.uniform(self.seconds, self.high_seconds)
        if self.kind == "lognormal" and self.seconds > 0:
            return min(random.lognormvariate(math.log(self.seconds), self.sigma), self.high_seconds)
        return self.seconds


def parse_latency(text: str) -> Latency:
    """Return the distribution in e.g. `15`, `uniform:10,20` or `lognormal:15,0.4,60`; ValueError says the forms."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"latency: {_FORMS}")
    kind, first, second, third = match.groups()
    try:
        return _latency(kind or "fixed", *(float(part) for part in (first, second, third) if part is not None))
    except TypeError as error:
        raise ValueError(f"latency: {_FORMS}") from error


def _latency(kind: str, seconds: float, *more: float) -> Latency:
    match kind, more:
        case "fixed", ():
            return Latency(seconds=seconds)
        case "uniform", (high,):
            return Latency(kind="uniform", seconds=seconds, high_seconds=high)
        case "lognormal", (sigma, *rest) if len(rest) < 2:
            return Latency(
                kind="lognormal", seconds=seconds, sigma=sigma, high_seconds=rest[0] if rest else SECONDS_MAX
            )
    raise TypeError(kind)
