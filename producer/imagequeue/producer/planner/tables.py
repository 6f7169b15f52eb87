"""The plan as people read it: the answer first, then the ceilings, the money, the other ways, and what would help."""

import math
from fractions import Fraction
from typing import Final

from rich.text import Text

from imagequeue.config.catalog import Catalog
from imagequeue.config.money import NANO_PER_USD
from imagequeue.producer.commands.output import Cell, print_line, print_table
from imagequeue.producer.planner.advice import LIMIT_WORDS, TIMES_FROM, advice
from imagequeue.producer.planner.demand import DAYS_PER_MONTH
from imagequeue.producer.planner.finish import Finish
from imagequeue.producer.planner.loads import Load
from imagequeue.producer.planner.plan import ModelPlan, Plan

STYLES: Final = {"fine": "green", "plan": "yellow", "act": "red"}
MINUTES_PER_HOUR: Final = 60


def show(plan: Plan, catalog: Catalog) -> None:
    """Print the plan."""
    _show_demand(plan)
    print_line("")
    print_table(
        ("limit", "needed", "ceiling", "used", ""),
        [_load_row(load) for load in plan.chosen.loads],
        right=("needed", "ceiling", "used"),
        title=f"{catalog.tier(plan.chosen.seat.tier).label}, {_orgs(plan.question.orgs)}",
    )
    _show_answers(plan, catalog)
    if plan.finish is not None:
        print_line("")
        _show_finish(plan.finish)
    print_line("")
    _show_costs(plan.chosen)
    print_line("")
    _show_models(plan, catalog)
    print_line("")
    _show_alternatives(plan)
    print_line("")
    for line in advice(plan, catalog):
        print_line(f"- {line}")


def _show_demand(plan: Plan) -> None:
    demand, chosen = plan.question.demand, plan.chosen
    print_line(
        f"{_number(demand.images_per_day)} images a day of {chosen.model}, {chosen.size}"
        + (f", {chosen.quality}" if chosen.quality else ""),
        style="bold",
    )
    print_line(
        f"{_number(demand.made_per_day)} made a day: {_percent(demand.cache_hit_rate)} cache hits, "
        f"{_number(demand.regenerations)} made for each kept, {_percent(demand.batch_share)} by batch"
    )


def _load_row(load: Load) -> tuple[Cell, ...]:
    money = load.limit == "monthly_cap"
    shown = dollars if money else _number
    ceiling = "no limit known" if load.ceiling is None else "not served" if load.ceiling == 0 else shown(load.ceiling)
    used = "-" if load.share is None else _percent(load.share)
    return (LIMIT_WORDS[load.limit], shown(load.needed), ceiling, used, Text(load.verdict, STYLES[load.verdict]))


def _show_answers(plan: Plan, catalog: Catalog) -> None:
    chosen = plan.chosen
    print_line(f"Binds first: {LIMIT_WORDS[chosen.binding.limit]}.")
    by_pace = _tier(chosen.lowest_tier_by_pace, catalog)
    print_line(f"Lowest tier that fits: {_tier(chosen.lowest_tier, catalog)}; by pace alone: {by_pace}.")
    needed = "this tier does not serve it" if chosen.orgs_needed is None else _orgs(chosen.orgs_needed)
    print_line(f"Needed of this tier: {needed}.")
    if chosen.limit_lasts_minutes is not None:
        print_line(f"At the full pace a month's limit is spent in {_minutes(chosen.limit_lasts_minutes)}.")


def _show_finish(found: Finish) -> None:
    print_line(f"{found.goal.images:,} images cost {dollars(found.usd_nano)}.")
    at_ceiling = "more than a century" if found.days_at_ceiling is None else f"{_number(found.days_at_ceiling)} days"
    print_line(f"At the ceilings they take {at_ceiling}, waiting for a new month where the money is spent before.")
    if found.days_at_demand is not None:
        print_line(f"At the planned images a day they take {_number(found.days_at_demand)} days.")
    if found.in_time is not None:
        print_line(
            f"{found.days_left} days are left: {'in time' if found.in_time else 'not in time'}.",
            style="green" if found.in_time else "red",
        )


def _show_costs(chosen: ModelPlan) -> None:
    ways = (("as planned", chosen.day_nano), ("all on demand", chosen.now_nano), ("all by batch", chosen.batch_nano))
    print_table(
        ("cost", "a day", f"{DAYS_PER_MONTH} days"),
        [
            (way, "not offered", "") if nano is None else (way, dollars(nano), dollars(nano * DAYS_PER_MONTH))
            for way, nano in ways
        ],
        right=("a day", f"{DAYS_PER_MONTH} days"),
    )


def _show_models(plan: Plan, catalog: Catalog) -> None:
    columns = ("model", "state", "quality", "an image", f"{DAYS_PER_MONTH} days", "images/min", "binds", "used", "tier")
    print_table(
        (*columns, "orgs"),
        [_model_row(model, catalog) for model in plan.models],
        right=("an image", f"{DAYS_PER_MONTH} days", "images/min", "used", "orgs"),
        title="The same by other models (tier: the lowest that fits; orgs: needed of the tier above)",
    )


def _model_row(found: ModelPlan, catalog: Catalog) -> tuple[Cell, ...]:
    images, _, _ = found.loads
    load = found.binding
    used = "not served" if not found.seat.limits.served else "-" if load.share is None else _percent(load.share)
    return (
        found.model,
        found.lifecycle.state,
        found.quality or "-",
        dollars(found.prices.now_nano),
        dollars(found.day_nano * DAYS_PER_MONTH),
        _number(images.needed),
        LIMIT_WORDS[load.limit],
        Text(used, STYLES[load.verdict]),
        _tier(found.lowest_tier, catalog),
        "-" if found.orgs_needed is None else f"{found.orgs_needed:,}",
    )


def _show_alternatives(plan: Plan) -> None:
    print_table(
        ("alternative", "needed", f"{DAYS_PER_MONTH} days", "cheaper from"),
        [
            (
                found.offer.label,
                f"{found.units:,}",
                dollars(found.month_nano),
                "never" if found.break_even is None else f"{found.break_even:,} images a month",
            )
            for found in plan.alternatives
        ],
        right=("needed", f"{DAYS_PER_MONTH} days", "cheaper from"),
        title="Alternatives, by assumption",
    )
    for found in plan.alternatives:
        offer = found.offer
        note = f" {offer.note[0].upper()}{offer.note[1:]}." if offer.note else ""
        print_line(
            f"{offer.label}: {dollars(offer.month_nano)} a month for {_number(offer.images_month)} images. "
            f"Assumed; {offer.source} ({offer.date}).{note}"
        )


def dollars(nano: Fraction | int) -> str:
    """Return dollars and cents rounded up, with more decimals for amounts under a dollar."""
    digits = 2 if nano >= NANO_PER_USD else 5
    unit = Fraction(NANO_PER_USD, 10**digits)
    text = f"{math.ceil(nano / unit) / 10**digits:,.{digits}f}"
    return "$" + (text if digits == 2 else text.rstrip("0").ljust(4, "0"))


def _number(value: Fraction) -> str:
    return f"{value.numerator:,}" if value.denominator == 1 else f"{float(value):,.1f}"


def _percent(share: Fraction) -> str:
    if share > TIMES_FROM:
        return f"{float(share):,.0f} times"
    return f"{float(share * 100):,.1f}".removesuffix(".0") + " %"


def _minutes(minutes: Fraction) -> str:
    if minutes < 2 * MINUTES_PER_HOUR:
        return f"{float(minutes):,.1f} minutes"
    hours = minutes / MINUTES_PER_HOUR
    return f"{float(hours):,.1f} hours" if hours < 48 else f"{float(hours / 24):,.1f} days"


def _orgs(count: int) -> str:
    return "1 organization" if count == 1 else f"{count:,} organizations"


def _tier(name: str | None, catalog: Catalog) -> str:
    return "none" if name is None else catalog.tier(name).label
