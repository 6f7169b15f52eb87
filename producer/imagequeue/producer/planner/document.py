"""The plan as one JSON document: money as text with nine decimals, rounded up; rates and shares as numbers. Pure."""

import math
from fractions import Fraction
from typing import Final

from imagequeue.config.catalog import Catalog
from imagequeue.config.money import format_usd
from imagequeue.producer.planner.advice import advice
from imagequeue.producer.planner.alternatives import Comparison
from imagequeue.producer.planner.demand import DAYS_PER_MONTH
from imagequeue.producer.planner.finish import Finish
from imagequeue.producer.planner.loads import Load
from imagequeue.producer.planner.plan import ModelPlan, Plan

DIGITS: Final = 6
"""Decimals of rates and shares; money is exact to the nano-dollar."""


def document(plan: Plan, catalog: Catalog) -> dict[str, object]:
    """Return the plan as printed by `--json`."""
    question, demand = plan.question, plan.question.demand
    return {
        "demand": {
            "images_per_day": number(demand.images_per_day),
            "images_per_month": number(demand.images_per_day * DAYS_PER_MONTH),
            "cache_hit_rate": number(demand.cache_hit_rate),
            "batch_share": number(demand.batch_share),
            "regenerations": number(demand.regenerations),
            "prompt_characters": demand.prompt_characters,
            "made_per_day": number(demand.made_per_day),
            "orgs": question.orgs,
        },
        **_model(plan.chosen),
        "finish": None if plan.finish is None else _finish(plan.finish),
        "models": [_model(model) for model in plan.models],
        "alternatives": [_alternative(found) for found in plan.alternatives],
        "advice": advice(plan, catalog),
        "days_per_month": DAYS_PER_MONTH,
    }


def number(value: Fraction | None) -> int | float | None:
    """Return a whole number as it is, any other rounded to six decimals."""
    if value is None:
        return None
    return value.numerator if value.denominator == 1 else round(float(value), DIGITS)


def usd(nano: Fraction | int | None) -> str | None:
    """Return an amount as text with nine decimals, rounded up to the nano-dollar."""
    return None if nano is None else format_usd(math.ceil(nano))


def _model(found: ModelPlan) -> dict[str, object]:
    images, _, _ = found.loads
    return {
        "model": found.model,
        "size": found.size,
        "quality": found.quality,
        "state": found.lifecycle.state,
        "tier": found.seat.tier,
        "served": found.seat.limits.served,
        "images_per_minute": number(images.needed),
        "ceiling_images_per_minute": number(images.ceiling),
        "share_of_ceiling": number(images.share),
        "verdict": images.verdict,
        "effective_images_per_minute": number(found.wanted_per_minute),
        "binding": {
            "limit": found.binding.limit,
            "share": number(found.binding.share),
            "verdict": found.binding.verdict,
        },
        "fits": found.fits,
        "limits": {load.limit: _load(load) for load in found.loads},
        "usd_per_image": usd(found.prices.now_nano),
        "usd_per_image_batch": usd(found.prices.batch_nano),
        "tokens_per_image": found.prices.tokens_per_image,
        "cost": {
            "planned": _cost(found.day_nano),
            "on_demand": _cost(found.now_nano),
            "batch": _cost(found.batch_nano),
        },
        "monthly_limit_lasts_minutes_at_ceiling": number(found.limit_lasts_minutes),
        "lowest_tier": found.lowest_tier,
        "lowest_tier_by_pace": found.lowest_tier_by_pace,
        "orgs_needed": found.orgs_needed,
    }


def _load(load: Load) -> dict[str, object]:
    money = load.limit == "monthly_cap"
    return {
        "needed": usd(load.needed) if money else number(load.needed),
        "ceiling": usd(load.ceiling) if money else number(load.ceiling),
        "share": number(load.share),
        "verdict": load.verdict,
        "source": load.source,
    }


def _cost(day_nano: Fraction | None) -> dict[str, str | None] | None:
    return None if day_nano is None else {"day_usd": usd(day_nano), "month_usd": usd(day_nano * DAYS_PER_MONTH)}


def _finish(found: Finish) -> dict[str, object]:
    return {
        "images": found.goal.images,
        "by": found.goal.by,
        "days_left": found.days_left,
        "days_at_ceiling": number(found.days_at_ceiling),
        "days_at_demand": number(found.days_at_demand),
        "in_time": found.in_time,
        "usd": usd(found.usd_nano),
    }


def _alternative(found: Comparison) -> dict[str, object]:
    offer = found.offer
    return {
        "kind": offer.kind,
        "label": offer.label,
        "units": found.units,
        "month_usd": usd(found.month_nano),
        "break_even_images_per_month": found.break_even,
        "assumed": {"usd_month": usd(offer.month_nano), "images_month": number(offer.images_month)},
        "source": offer.source,
        "date": offer.date,
        "note": offer.note,
    }
