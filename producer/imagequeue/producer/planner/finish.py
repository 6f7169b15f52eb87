"""How long a number of images takes, and what it costs: at the ceilings, under the monthly limits. Pure, exact."""

import math
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Final

from imagequeue.config.errors import JobRefused
from imagequeue.producer.planner.demand import DAYS_PER_MONTH, IMAGES_MAX, MINUTES_PER_DAY, Demand
from imagequeue.producer.planner.loads import Load
from imagequeue.producer.planner.prices import Prices

DAYS_MAX: Final = 36_500
"""Longer than this is as good as never."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A number of wanted images, and the day by which they must be there (None: as soon as can be)."""

    images: int
    by: date | None

    def __post_init__(self) -> None:
        """Refuse what makes no sense, naming the option."""
        if not 1 <= self.images <= IMAGES_MAX:
            raise JobRefused("images", f"1 to {IMAGES_MAX:,} is accepted")


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How a goal is reached. Days are whole days of work at full ceilings; None: it is not reached within a century.

    `days_at_demand` is what it takes at the planned images per day, None when none are planned.
    """

    goal: Goal
    usd_nano: Fraction
    days_at_ceiling: Fraction | None
    days_at_demand: Fraction | None
    days_left: int | None

    @property
    def in_time(self) -> bool | None:
        """Whether the ceilings allow it by the day; None when no day was named."""
        if self.days_left is None:
            return None
        return self.days_at_ceiling is not None and self.days_at_ceiling <= self.days_left


def days_until(by: date, today: date) -> int:
    """Return the whole days between today and the end of the last day; JobRefused for a day that is not to come."""
    days = (by - today).days
    if not 1 <= days <= DAYS_MAX:
        raise JobRefused("by", f"a day after today ({today.isoformat()}) is needed, within a century")
    return days


def finish(goal: Goal, demand: Demand, prices: Prices, found: tuple[Load, Load, Load], today: date) -> Finish:
    """Return how a goal is reached at full ceilings: a month's money is spent as fast as the pace allows.

    Batches are taken to keep up with the calls, since the provider promises each within a day.
    """
    cost_each = demand.made_per_image * prices.mixed_nano(demand.batch_share)
    per_day = wanted_per_minute(demand, prices, found)
    days = _days(goal.images, None if per_day is None else per_day * MINUTES_PER_DAY, _per_month(cost_each, found))
    return Finish(
        goal=goal,
        usd_nano=goal.images * cost_each,
        days_at_ceiling=days,
        days_at_demand=goal.images / demand.images_per_day if demand.images_per_day else None,
        days_left=None if goal.by is None else days_until(goal.by, today),
    )


def wanted_per_minute(demand: Demand, prices: Prices, found: tuple[Load, Load, Load]) -> Fraction | None:
    """Return how many wanted images a minute the ceilings carry; None when nothing limits them.

    This is the ceiling that cache and batches make out of the provider's: 70 % of hits make it 3.3 times as high.
    """
    images, tokens, _ = found
    called = demand.called_per_image
    rates = []
    if images.ceiling is not None and called:
        rates.append(images.ceiling / called)
    if tokens.ceiling is not None and called and prices.tokens_per_image:
        rates.append(tokens.ceiling / (called * prices.tokens_per_image))
    return min(rates) if rates else None


def limit_lasts_minutes(demand: Demand, prices: Prices, found: tuple[Load, Load, Load]) -> Fraction | None:
    """Return for how many minutes a month's limit pays at the full pace; None when nothing limits one or the other."""
    rate = wanted_per_minute(demand, prices, found)
    cost_each = demand.made_per_image * prices.mixed_nano(demand.batch_share)
    month = found[2].ceiling
    return None if month is None or not rate or not cost_each else month / (cost_each * rate)


def _per_month(cost_each: Fraction, found: tuple[Load, Load, Load]) -> Fraction | None:
    month = found[2].ceiling
    return None if month is None or not cost_each else month / cost_each


def _days(images: int, per_day: Fraction | None, per_month: Fraction | None) -> Fraction | None:
    """Full months while money ends before the month does, then what is left at the pace; 0 days without a pace."""
    if per_day == 0 or per_month == 0:
        return None
    months = 0
    if per_month is not None and (per_day is None or per_month < per_day * DAYS_PER_MONTH):
        months = math.ceil(images / per_month) - 1
    rest = images if per_month is None else images - months * per_month
    days = months * DAYS_PER_MONTH + (rest / per_day if per_day is not None else Fraction(0))
    return days if days <= DAYS_MAX else None
