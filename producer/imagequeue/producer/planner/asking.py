"""Turns what a person asked for, in words, into the planner's question; every refusal names the option. Pure."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from imagequeue.config.catalog import Catalog, choose_model, served_by
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings
from imagequeue.producer.planner.alternatives import SECONDS_PER_MONTH, Offer, offers
from imagequeue.producer.planner.demand import DAYS_PER_MONTH, IMAGES_MAX, PROMPT_CHARACTERS, Demand, exact
from imagequeue.producer.planner.finish import Goal, days_until
from imagequeue.producer.planner.plan import Question
from imagequeue.producer.planner.prices import checked_job

TIER = "1"
"""The tier that is planned for when none is named and no organization is configured."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options as written; numbers are text, so that no digit is lost."""

    images_per_day: str | None = None
    images_per_month: str | None = None
    model: str | None = None
    size: str | None = None
    quality: str | None = None
    tier: str | None = None
    cache_hit_rate: str = "0"
    batch_share: str = "0"
    regenerations: str = "1"
    prompt_characters: int = PROMPT_CHARACTERS
    orgs: int = 1
    images: int | None = None
    by: str | None = None


def question(asked: Asked, settings: Settings, catalog: Catalog, today: date) -> Question:
    """Return the question; JobRefused names an option that cannot be used, ConfigError an unknown tier."""
    goal = _goal(asked)
    if asked.tier is not None:
        catalog.tier(asked.tier)
    demand = Demand(
        images_per_day=_per_day(asked, goal, today),
        cache_hit_rate=exact("cache-hit-rate", asked.cache_hit_rate),
        batch_share=exact("batch-share", asked.batch_share),
        regenerations=exact("regenerations", asked.regenerations),
        prompt_characters=asked.prompt_characters,
    )
    org = settings.orgs[0] if settings.orgs else None
    return Question(
        demand=demand,
        job=checked_job(catalog, _model(asked, settings, catalog, today), asked.size, asked.quality),
        seat_of=asked.tier or org or TIER,
        orgs=asked.orgs,
        goal=goal,
    )


def asked_offers(
    subscription_usd: str | None,
    subscription_images: str | None,
    machine_usd: str | None,
    machine_images_per_second: str | None,
) -> tuple[Offer, ...]:
    """Return what to compare with: packaged assumptions, or the figures given."""
    return offers(
        subscription_usd=_dollars("subscription-usd", subscription_usd),
        subscription_images=_positive("subscription-images", subscription_images),
        machine_usd=_dollars("machine-usd", machine_usd),
        machine_images_per_second=_positive("machine-images-per-second", machine_images_per_second),
    )


def _per_day(asked: Asked, goal: Goal | None, today: date) -> Fraction:
    if asked.images_per_day is not None and asked.images_per_month is not None:
        raise JobRefused("images-per-day", "give this or images-per-month, not both")
    if asked.images_per_day is not None:
        return exact("images-per-day", asked.images_per_day)
    if asked.images_per_month is not None:
        return exact("images-per-month", asked.images_per_month) / DAYS_PER_MONTH
    if goal is not None and goal.by is not None:
        return Fraction(goal.images, days_until(goal.by, today))
    raise JobRefused("images-per-day", "one of --images-per-day, --images-per-month, or --images with --by is needed")


def _goal(asked: Asked) -> Goal | None:
    if asked.by is not None and asked.images is None:
        raise JobRefused("by", "--images is needed with it")
    if asked.images is None:
        return None
    try:
        by = None if asked.by is None else date.fromisoformat(asked.by)
    except ValueError as error:
        raise JobRefused("by", f"a day such as 2027-01-31 is needed, not {asked.by!r}") from error
    return Goal(images=asked.images, by=by)


def _model(asked: Asked, settings: Settings, catalog: Catalog, today: date) -> str:
    """The model named; else the one that a job without a model gets; without organizations the first preference."""
    if asked.model is not None or not settings.orgs:
        return asked.model or settings.models[0]
    job = Job(prompt="a plan")
    try:
        return choose_model(job, settings.models, served_by(catalog, settings.orgs, today))
    except JobRefused:
        return settings.models[0]


def _dollars(option: str, text: str | None) -> str | None:
    if text is None:
        return None
    if not 0 <= exact(option, text) <= IMAGES_MAX // 1_000:
        raise JobRefused(option, "an amount of dollars from 0 to a billion is needed")
    return text


def _positive(option: str, text: str | None) -> Fraction | None:
    if text is None:
        return None
    number = exact(option, text)
    if not 0 < number * SECONDS_PER_MONTH <= IMAGES_MAX * SECONDS_PER_MONTH:
        raise JobRefused(option, "more than 0 is needed")
    return number
