"""What the same images would cost otherwise: by subscription, or on machines of one's own; from which volume on. Pure.

The figures are assumptions, in a file with source and date, or the user's own.
"""

import math
import tomllib
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.resources import files
from typing import Final, Literal

from imagequeue.config.money import parse_usd
from imagequeue.producer.planner.demand import DAYS_PER_MONTH, MINUTES_PER_DAY, Demand

SECONDS_PER_MONTH: Final = DAYS_PER_MONTH * MINUTES_PER_DAY * 60
DATA_FILE: Final = "alternatives.toml"
YOURS: Final = "your own figure"

Kind = Literal["subscription", "self-hosted"]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Something at a fixed price a month, in nano-dollars, that makes so many images in 30 days."""

    kind: Kind
    label: str
    month_nano: int
    images_month: Fraction
    source: str
    date: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What an offer costs for the demand. `break_even`: wanted images a month from which one unit of it is cheaper.

    None when one unit makes too few images to be cheaper at any volume.
    """

    offer: Offer
    units: int
    month_nano: int
    break_even: int | None


def compare(offer: Offer, demand: Demand, month_nano: Fraction) -> Comparison:
    """Return what the demand costs by an offer, against `month_nano` for it through the API.

    Cache and regenerations count for both; batches only for the API.
    """
    made = demand.made_per_day * DAYS_PER_MONTH
    units = max(1, math.ceil(made / offer.images_month))
    return Comparison(
        offer=offer,
        units=units,
        month_nano=units * offer.month_nano,
        break_even=_break_even(offer, demand, month_nano),
    )


def packaged_offers() -> dict[Kind, Offer]:
    """Return the packaged assumptions."""
    tables = tomllib.loads((files(__package__) / DATA_FILE).read_text(encoding="utf-8"))
    return {"subscription": _offer("subscription", tables), "self-hosted": _offer("self-hosted", tables)}


def offers(
    *,
    subscription_usd: str | None = None,
    subscription_images: Fraction | None = None,
    machine_usd: str | None = None,
    machine_images_per_second: Fraction | None = None,
) -> tuple[Offer, ...]:
    """Return the offers to compare with: the packaged assumptions, figure by figure replaced by the user's own.

    ValueError when an amount is no amount of dollars.
    """
    known = packaged_offers()
    machine_images = None if machine_images_per_second is None else machine_images_per_second * SECONDS_PER_MONTH
    return (
        _replaced(known["subscription"], subscription_usd, subscription_images),
        _replaced(known["self-hosted"], machine_usd, machine_images),
    )


def _replaced(offer: Offer, usd: str | None, images_month: Fraction | None) -> Offer:
    if usd is None and images_month is None:
        return offer
    both = usd is not None and images_month is not None
    return replace(
        offer,
        month_nano=offer.month_nano if usd is None else parse_usd(usd),
        images_month=images_month or offer.images_month,
        source=YOURS if both else f"{YOURS} for {'images' if usd is None else 'the price'}; {offer.source}",
        note="" if both and offer.kind == "self-hosted" else offer.note,
    )


def _offer(kind: Kind, tables: dict[str, dict[str, str]]) -> Offer:
    table = tables[kind]
    per_second = table.get("images_per_second")
    return Offer(
        kind=kind,
        label=table["label"],
        month_nano=parse_usd(table["usd_month"]),
        images_month=Fraction(table["images_month"])
        if per_second is None
        else Fraction(per_second) * SECONDS_PER_MONTH,
        source=table["source"],
        date=table["date"],
        note=table["note"],
    )


def _break_even(offer: Offer, demand: Demand, month_nano: Fraction) -> int | None:
    wanted = demand.images_per_day * DAYS_PER_MONTH
    if not wanted or not month_nano:
        return None
    volume = math.ceil(offer.month_nano / (month_nano / wanted))
    return volume if volume * demand.made_per_image <= offer.images_month else None
