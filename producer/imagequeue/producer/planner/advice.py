"""What would help, in plain sentences, each with the plan's own figures. Pure."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from imagequeue.config.catalog import Catalog
from imagequeue.config.money import NANO_PER_USD
from imagequeue.producer.planner.demand import DAYS_PER_MONTH
from imagequeue.producer.planner.loads import Load
from imagequeue.producer.planner.plan import ModelPlan, Plan

TIMES_FROM: Final = 10
"""A share above this reads better as so many times."""
LIMIT_WORDS: Final = {
    "images_per_minute": "images per minute",
    "tokens_per_minute": "tokens per minute",
    "monthly_cap": "monthly limit",
}


def advice(plan: Plan, catalog: Catalog) -> list[str]:
    """Return what a person should know or do, the most pressing first."""
    chosen = plan.chosen
    return [
        *_about_lifecycle(chosen),
        *_about_load(plan, catalog),
        *_about_savings(plan),
        *_about_reports(chosen, catalog),
    ]


def _about_lifecycle(chosen: ModelPlan) -> Iterable[str]:
    if chosen.lifecycle.state != "active":
        yield f"{chosen.model} {chosen.lifecycle.describe()}. Compatible servers may serve it on."


def _about_load(plan: Plan, catalog: Catalog) -> Iterable[str]:
    chosen, load = plan.chosen, plan.chosen.binding
    if not chosen.seat.limits.served:
        yield f"{catalog.tier(chosen.seat.tier).label} does not serve {chosen.model}."
    elif load.verdict != "fine":
        yield f"The {LIMIT_WORDS[load.limit]} would be used {_percent(load)}: {_remedies(plan, catalog)}."


def _remedies(plan: Plan, catalog: Catalog) -> str:
    chosen, found = plan.chosen, []
    if chosen.lowest_tier is not None and chosen.lowest_tier != chosen.seat.tier and not chosen.fits:
        tier = catalog.tier(chosen.lowest_tier)
        found.append(f"{tier.label} ({tier.qualification or 'terms not published'}) holds it")
    if chosen.lowest_tier is None:
        found.append("no published tier holds it with so many organizations")
    if chosen.orgs_needed is not None and chosen.orgs_needed > plan.question.orgs:
        found.append(f"{chosen.orgs_needed:,} organizations of this tier do")
    if plan.question.demand.batch_share == 0 and chosen.batch_nano is not None:
        found.append("batches take load off the ceilings and halve the price")
    return "; ".join([*found, "a cache and fewer regenerations lower it"])


def _about_savings(plan: Plan) -> Iterable[str]:
    chosen, demand = plan.chosen, plan.question.demand
    if chosen.batch_nano is not None and demand.batch_share < 1 and chosen.day_nano > chosen.batch_nano:
        saved = (chosen.day_nano - chosen.batch_nano) * DAYS_PER_MONTH
        yield f"Jobs that can wait a day: all of them by batch would save ${_whole(saved)} in 30 days."
    if demand.regenerations > 2:
        saved = chosen.day_nano * DAYS_PER_MONTH * (1 - 2 / demand.regenerations)
        yield f"{float(demand.regenerations):g} images are made for each kept one; at 2 it would save ${_whole(saved)}."


def _about_reports(chosen: ModelPlan, catalog: Catalog) -> Iterable[str]:
    for report in catalog.model(chosen.model).limits.reports:
        if report.tier == chosen.seat.tier and report.images_per_minute is not None:
            yield (
                f"Users of this tier report {report.images_per_minute:g} images per minute enforced "
                f"({report.date}); see what your own account says before relying on the published figure."
            )


def _percent(load: Load) -> str:
    if load.share is None:
        return "more than all"
    return f"{float(load.share):,.0f} times" if load.share > TIMES_FROM else f"{float(load.share * 100):,.0f} %"


def _whole(nano: Fraction) -> str:
    return f"{int(nano / NANO_PER_USD):,}"
