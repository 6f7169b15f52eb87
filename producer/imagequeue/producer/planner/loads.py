"""How full each ceiling gets, which one binds, and how many organizations or which tier would do. Pure, exact."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from imagequeue.config.catalog import Catalog, Model
from imagequeue.producer.planner.demand import DAYS_PER_MONTH, Demand
from imagequeue.producer.planner.prices import Prices
from imagequeue.producer.planner.seats import Seat, ladder, seat_of_tier

PLAN_FROM: Final = Fraction(1, 2)
"""From this share of a ceiling on, plan for more."""
ACT_ABOVE: Final = Fraction(4, 5)
"""Above this share of a ceiling, act."""

LimitName = Literal["images_per_minute", "tokens_per_minute", "monthly_cap"]
Verdict = Literal["fine", "plan", "act"]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is needed of one ceiling of all organizations together.

    Per minute, or nano-dollars in 30 days. `ceiling` None: no limit is known; 0: not served. `share` is None then.
    """

    limit: LimitName
    needed: Fraction
    ceiling: Fraction | None
    source: str

    @property
    def share(self) -> Fraction | None:
        """The used part of the ceiling; None where there is none."""
        return None if not self.ceiling else self.needed / self.ceiling

    @property
    def fits(self) -> bool:
        """Whether no more is needed than there is."""
        return self.ceiling is None or (self.ceiling > 0 and self.needed <= self.ceiling)

    @property
    def verdict(self) -> Verdict:
        """Under half is fine, up to four fifths is to be planned for, more is to be acted on."""
        if not self.fits:
            return "act"
        return verdict_of(self.share or Fraction(0))

    @property
    def fullness(self) -> tuple[bool, Fraction]:
        """Sorts loads: what is not served at all above everything else."""
        return (self.ceiling == 0, self.share or Fraction(0))


def verdict_of(share: Fraction) -> Verdict:
    """Return what a share of a ceiling calls for."""
    if share > ACT_ABOVE:
        return "act"
    return "plan" if share >= PLAN_FROM else "fine"


def loads(demand: Demand, prices: Prices, seat: Seat, orgs: int) -> tuple[Load, Load, Load]:
    """Return the load of each limit on `orgs` organizations that are all alike."""
    limits = seat.limits
    month_nano = demand.made_per_day * DAYS_PER_MONTH * prices.mixed_nano(demand.batch_share)
    calls = demand.called_per_minute
    return (
        Load(
            limit="images_per_minute",
            needed=calls,
            ceiling=_times(limits.images_per_minute, orgs),
            source=limits.source,
        ),
        Load(
            limit="tokens_per_minute",
            needed=calls * prices.tokens_per_image,
            ceiling=_times(limits.tokens_per_minute, orgs),
            source=limits.source,
        ),
        Load(
            limit="monthly_cap",
            needed=month_nano,
            ceiling=_times(seat.month_nano, orgs),
            source=seat.month_source,
        ),
    )


def binding(found: Iterable[Load]) -> Load:
    """Return the load that is nearest to its ceiling, or furthest beyond it."""
    return max(found, key=lambda load: load.fullness)


def orgs_needed(demand: Demand, prices: Prices, seat: Seat) -> int | None:
    """Return how many organizations like this one are needed; None when it does not serve the model at all."""
    if not seat.limits.served:
        return None
    shares = [load.share for load in loads(demand, prices, seat, 1)]
    if any(load.ceiling == 0 and load.needed > 0 for load in loads(demand, prices, seat, 1)):
        return None
    return max(1, *(math.ceil(share) for share in shares if share is not None))


def lowest_tier(
    catalog: Catalog, model: Model, demand: Demand, prices: Prices, orgs: int, *, by_pace: bool = False
) -> str | None:
    """Return the first tier of the ladder whose ceilings hold the demand; None when none does.

    `by_pace` leaves the monthly limit out, which a provider raises on request.
    """
    for tier in ladder(catalog):
        seat = seat_of_tier(catalog, model.name, tier)
        found = loads(demand, prices, seat, orgs)
        if seat.limits.served and all(load.fits for load in found if not by_pace or load.limit != "monthly_cap"):
            return tier
    return None


def _times(ceiling: float | None, orgs: int) -> Fraction | None:
    return None if ceiling is None else Fraction(ceiling) * orgs
