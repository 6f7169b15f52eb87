"""What holds for every plan, whatever the demand: linear money, shares that agree, and the least needs."""

import math
from dataclasses import replace
from datetime import date
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from imagequeue.config.catalog import load_catalog
from imagequeue.producer.planner.alternatives import compare, packaged_offers
from imagequeue.producer.planner.demand import DAYS_PER_MONTH, MINUTES_PER_DAY, Demand
from imagequeue.producer.planner.finish import Goal
from imagequeue.producer.planner.loads import verdict_of
from imagequeue.producer.planner.plan import ModelPlan, Question, plan
from imagequeue.producer.planner.prices import checked_job
from imagequeue.producer.planner.seats import ladder, seat_of_tier

CATALOG = load_catalog()
TODAY = date(2026, 11, 22)
MODELS = st.sampled_from(["dall-e-3", "gpt-image-2", "gpt-image-2.5-flare"])
TIERS = st.sampled_from(["1", "2", "3", "4", "5"])
SHARES = st.fractions(0, 1, max_denominator=20)

DEMANDS = st.builds(
    Demand,
    images_per_day=st.fractions(1, 10_000_000, max_denominator=30),
    cache_hit_rate=st.fractions(0, Fraction(19, 20), max_denominator=20),
    batch_share=SHARES,
    regenerations=st.fractions(1, 5, max_denominator=10),
)


def planned(model: str, demand: Demand, tier: str, orgs: int = 1) -> ModelPlan:
    question = Question(demand=demand, job=checked_job(CATALOG, model, None, None), seat_of=tier, orgs=orgs)
    return plan(CATALOG, question, (), TODAY).chosen


@settings(max_examples=25, deadline=None)
@given(model=MODELS, demand=DEMANDS, tier=TIERS, times=st.integers(2, 9))
def test_money_and_loads_grow_with_the_demand_exactly(model: str, demand: Demand, tier: str, times: int) -> None:
    once = planned(model, demand, tier)
    more = planned(model, replace(demand, images_per_day=demand.images_per_day / times), tier)
    assert more.day_nano * times == once.day_nano
    assert [load.needed * times for load in more.loads] == [load.needed for load in once.loads]


@settings(max_examples=25, deadline=None)
@given(model=MODELS, demand=DEMANDS, tier=TIERS)
def test_the_organizations_needed_are_enough_and_one_less_is_not(model: str, demand: Demand, tier: str) -> None:
    needed = planned(model, demand, tier).orgs_needed
    assert needed is not None
    if needed <= 1_000:
        assert planned(model, demand, tier, needed).fits
        if needed > 1:
            assert not planned(model, demand, tier, needed - 1).fits


@settings(max_examples=25, deadline=None)
@given(model=MODELS, demand=DEMANDS, orgs=st.integers(1, 4))
def test_the_lowest_tier_fits_and_none_below_it_does(model: str, demand: Demand, orgs: int) -> None:
    lowest = planned(model, demand, "1", orgs).lowest_tier
    steps = ladder(CATALOG)
    below = steps if lowest is None else steps[: steps.index(lowest)]
    assert not any(planned(model, demand, tier, orgs).fits for tier in below)
    assert lowest is None or planned(model, demand, lowest, orgs).fits


@settings(max_examples=25, deadline=None)
@given(demand=DEMANDS, hits=st.fractions(0, Fraction(19, 20), max_denominator=20), tier=TIERS)
def test_cache_hits_raise_the_ceiling_and_lower_the_money_by_the_same_factor(
    demand: Demand, hits: Fraction, tier: str
) -> None:
    without = planned("dall-e-3", replace(demand, cache_hit_rate=Fraction(0), batch_share=Fraction(0)), tier)
    with_hits = planned("dall-e-3", replace(demand, cache_hit_rate=hits, batch_share=Fraction(0)), tier)
    assert with_hits.day_nano == without.day_nano * (1 - hits)
    assert with_hits.wanted_per_minute is not None
    assert with_hits.wanted_per_minute * (1 - hits) == without.wanted_per_minute


@settings(max_examples=25, deadline=None)
@given(model=MODELS, demand=DEMANDS, tier=TIERS)
def test_batches_halve_what_goes_by_them_and_leave_the_ceilings_alone(model: str, demand: Demand, tier: str) -> None:
    found = planned(model, demand, tier)
    assert found.batch_nano is not None
    assert found.day_nano == found.now_nano * (1 - demand.batch_share / 2)
    assert found.loads[0].needed == demand.made_per_day * (1 - demand.batch_share) / MINUTES_PER_DAY


@settings(max_examples=40, deadline=None)
@given(model=MODELS, demand=DEMANDS, tier=TIERS, images=st.integers(1, 5_000_000))
def test_a_goal_takes_as_long_as_pace_and_money_allow_and_no_longer(
    model: str, demand: Demand, tier: str, images: int
) -> None:
    job = checked_job(CATALOG, model, None, None)
    question = Question(demand=demand, job=job, seat_of=tier, goal=Goal(images=images, by=None))
    answer = plan(CATALOG, question, (), TODAY)
    found, chosen = answer.finish, answer.chosen
    assert found is not None
    assert found.usd_nano == images * chosen.day_nano / demand.images_per_day
    month = chosen.loads[2].ceiling
    assert month is not None
    if found.days_at_ceiling is not None:
        months = math.floor(found.days_at_ceiling / DAYS_PER_MONTH) + 1
        assert found.usd_nano <= month * months
        rate = chosen.wanted_per_minute
        assert rate is None or images <= rate * MINUTES_PER_DAY * found.days_at_ceiling
        if rate is not None and found.usd_nano <= month:
            assert images == rate * MINUTES_PER_DAY * found.days_at_ceiling


@settings(max_examples=25, deadline=None)
@given(demand=DEMANDS)
def test_from_its_break_even_on_an_alternative_is_no_dearer(demand: Demand) -> None:
    found = planned("dall-e-3", demand, "5")
    month_nano = found.day_nano * DAYS_PER_MONTH
    each = month_nano / (demand.images_per_day * DAYS_PER_MONTH)
    for offer in packaged_offers().values():
        compared = compare(offer, demand, month_nano)
        assert (compared.units - 1) * offer.images_month < demand.made_per_day * DAYS_PER_MONTH
        assert compared.units * offer.images_month >= demand.made_per_day * DAYS_PER_MONTH
        if compared.break_even is not None:
            assert compared.break_even * each >= offer.month_nano
            assert (compared.break_even - 1) * each < offer.month_nano


def test_half_of_a_ceiling_is_planned_for_and_more_than_four_fifths_acted_on() -> None:
    hundredths = {hundredth: verdict_of(Fraction(hundredth, 100)) for hundredth in (0, 49, 50, 80, 81, 300)}
    assert hundredths == {0: "fine", 49: "fine", 50: "plan", 80: "plan", 81: "act", 300: "act"}


def test_a_tier_that_does_not_serve_the_model_fits_nothing() -> None:
    found = planned("dall-e-3", Demand(images_per_day=Fraction(1)), "free")
    assert not found.fits
    assert found.binding.share is None
    assert found.orgs_needed is None


def test_a_tier_without_a_published_monthly_limit_is_not_bound_by_one() -> None:
    assert seat_of_tier(CATALOG, "dall-e-3", "grow").month_nano is None
    found = planned("dall-e-3", Demand(images_per_day=Fraction(1_000_000)), "grow")
    assert found.loads[2].share is None
    assert found.fits
