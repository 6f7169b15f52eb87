"""The plan: one model at one demand with its loads, costs and needs; the other models; the alternatives. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

from imagequeue.config.catalog import Catalog, LifecycleState, Model, lifecycle
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job
from imagequeue.config.orgs import Org
from imagequeue.producer.planner.alternatives import Comparison, Offer, compare
from imagequeue.producer.planner.demand import DAYS_PER_MONTH, Demand
from imagequeue.producer.planner.finish import Finish, Goal, finish, limit_lasts_minutes, wanted_per_minute
from imagequeue.producer.planner.loads import Load, binding, loads, lowest_tier, orgs_needed
from imagequeue.producer.planner.prices import Prices, job_for, prices_of
from imagequeue.producer.planner.seats import Seat, seat_of_org, seat_of_tier

ORGS_MAX = 1_000


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked. `job` carries model, size and quality; `seat_of` is a tier's name or a configured organization."""

    demand: Demand
    job: Job
    seat_of: str | Org
    orgs: int = 1
    goal: Goal | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense, naming the option."""
        if not 1 <= self.orgs <= ORGS_MAX:
            raise JobRefused("orgs", f"1 to {ORGS_MAX:,} is accepted")


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """One model at the demand. Costs are nano-dollars a day, exact; `batch_nano` None: no batches are offered."""

    model: str
    size: str
    quality: str | None
    lifecycle: LifecycleState
    prices: Prices
    seat: Seat
    loads: tuple[Load, Load, Load]
    binding: Load
    day_nano: Fraction
    now_nano: Fraction
    batch_nano: Fraction | None
    wanted_per_minute: Fraction | None
    limit_lasts_minutes: Fraction | None
    lowest_tier: str | None
    lowest_tier_by_pace: str | None
    orgs_needed: int | None

    @property
    def fits(self) -> bool:
        """Whether the demand stays within every ceiling."""
        return self.seat.limits.served and all(load.fits for load in self.loads)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The answer to a question."""

    question: Question
    chosen: ModelPlan
    finish: Finish | None
    models: tuple[ModelPlan, ...]
    alternatives: tuple[Comparison, ...]


def plan(catalog: Catalog, question: Question, offers: Sequence[Offer], today: date) -> Plan:
    """Return the plan on a day. Other models are asked for the nearest quality and size that they take."""
    job = question.job
    chosen = _model_plan(catalog, catalog.model(str(job.model)), job, question, today)
    demand = _demand_of(question.demand, catalog.model(chosen.model))
    others = [
        _model_plan(catalog, model, other, question, today)
        for model in catalog.models.values()
        if model.name != job.model and (other := job_for(job, model)) is not None
    ]
    return Plan(
        question=question,
        chosen=chosen,
        finish=None if question.goal is None else finish(question.goal, demand, chosen.prices, chosen.loads, today),
        models=(chosen, *others),
        alternatives=tuple(compare(offer, demand, chosen.day_nano * DAYS_PER_MONTH) for offer in offers),
    )


def _model_plan(catalog: Catalog, model: Model, job: Job, question: Question, today: date) -> ModelPlan:
    demand = _demand_of(question.demand, model)
    prices = prices_of(model, size=job.size, quality=job.quality, prompt_characters=demand.prompt_characters, on=today)
    seat = _seat(catalog, model, question.seat_of)
    found = loads(demand, prices, seat, question.orgs)
    made = demand.made_per_day
    return ModelPlan(
        model=model.name,
        size=model.api_size(job.size),
        quality=model.api_quality(job.quality),
        lifecycle=lifecycle(model, today),
        prices=prices,
        seat=seat,
        loads=found,
        binding=binding(found),
        day_nano=made * prices.mixed_nano(demand.batch_share),
        now_nano=made * prices.now_nano,
        batch_nano=None if prices.batch_nano is None else made * prices.batch_nano,
        wanted_per_minute=wanted_per_minute(demand, prices, found),
        limit_lasts_minutes=limit_lasts_minutes(demand, prices, found),
        lowest_tier=lowest_tier(catalog, model, demand, prices, question.orgs),
        lowest_tier_by_pace=lowest_tier(catalog, model, demand, prices, question.orgs, by_pace=True),
        orgs_needed=orgs_needed(demand, prices, seat),
    )


def _demand_of(demand: Demand, model: Model) -> Demand:
    """A model without batches makes everything by calls."""
    return demand if model.batch_percent is not None else replace(demand, batch_share=Fraction(0))


def _seat(catalog: Catalog, model: Model, seat_of: str | Org) -> Seat:
    if isinstance(seat_of, Org):
        return seat_of_org(catalog, model.name, seat_of)
    return seat_of_tier(catalog, model.name, seat_of)
