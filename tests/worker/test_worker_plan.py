"""Which queues a worker serves, from which pools, at which pace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_values import CATALOG, org

from imagequeue.config.catalog import Limits
from imagequeue.config.errors import JobRefused
from imagequeue.config.orgs import Org
from imagequeue.queue.ceilings import Pool, pools_of, unit_us
from imagequeue.queue.claims import ClaimPlan
from imagequeue.worker.commands import checked_queues
from imagequeue.worker.plan import PaceSettings, claim_plan

PACE = PaceSettings(fraction=0.9, burst_seconds=0.1, share_default=0.05, share_low=0.01, tenant_weights={})
KNOWN = ("dall-e-3.high", "dall-e-3.low", "gpt-image-2.default", "other-app", "other.high", "dall-e-3.urgent")


def plan_of(pools: tuple[Pool, ...], known: tuple[str, ...] = KNOWN, only: tuple[str, ...] = ()) -> ClaimPlan:
    """Return the plan for these queues."""
    return claim_plan(pools, PACE, known_queues=known, catalog_models=CATALOG.models, only_queues=only)


def pool_named(pools: tuple[Pool, ...], name: str) -> Pool:
    """Return one of the pools."""
    return next(pool for pool in pools if pool.name == name)


def limited(images: float, **words: object) -> Org:
    """Return an organization whose ceiling for the model is configured."""
    return org(limits={"dall-e-3": {"images_per_minute": images, "tokens_per_minute": None}}, **words)


def test_each_organization_has_a_pool_of_its_own() -> None:
    pools = pools_of(CATALOG, (limited(600, name="one"), limited(1200, name="two")))
    assert pool_named(pools, "one|dall-e-3").limits.images_per_minute == 600
    assert pool_named(pools, "two|dall-e-3").limits.images_per_minute == 1200


def test_a_reported_ceiling_counts_unless_one_is_configured() -> None:
    reported = {"main|dall-e-3": Limits(images_per_minute=50, tokens_per_minute=None, source="reported")}
    (published,) = (p for p in pools_of(CATALOG, (org(),), reported=reported) if p.name == "main|dall-e-3")
    (configured,) = (p for p in pools_of(CATALOG, (limited(600),), reported=reported) if p.name == "main|dall-e-3")
    assert published.limits.images_per_minute == 50
    assert configured.limits.images_per_minute == 600


def test_only_queues_of_our_models_and_priorities_are_served() -> None:
    plan = plan_of(pools_of(CATALOG, (limited(600),)))
    assert set(plan.queues()) == {"dall-e-3.high", "dall-e-3.low", "gpt-image-2.default"}


def test_a_model_that_is_gone_leaves_its_queues_to_be_refused() -> None:
    plan = plan_of(pools_of(CATALOG, (limited(600),), gone={("main", "dall-e-3")}))
    assert set(plan.unserved) == {"dall-e-3.high", "dall-e-3.low"}
    assert "dall-e-3.high" not in {queue for pool in plan.pools for queue in pool.queues()}


def test_a_worker_may_serve_some_queues_only() -> None:
    plan = plan_of(pools_of(CATALOG, (limited(600),)), only=("dall-e-3.low",))
    assert plan.queues() == ("dall-e-3.low",)


def test_the_pace_is_the_fraction_of_the_ceiling() -> None:
    plan = plan_of(pools_of(CATALOG, (limited(600),)))
    (pool,) = (each for each in plan.pools if each.name == "main|dall-e-3")
    assert pool.image_us == 60_000_000 / (600 * 0.9)
    assert pool.burst_us == 100_000


@given(per_minute=st.floats(0.1, 1e6), fraction=st.floats(0.01, 1))
def test_a_minute_of_units_is_never_more_than_the_ceiling(per_minute: float, fraction: float) -> None:
    assert 60_000_000 / unit_us(per_minute, fraction) <= per_minute * (1 + 1e-9)


def test_no_ceiling_is_no_wait() -> None:
    assert unit_us(None, 0.9) == 0


def test_queues_are_named_apart_or_with_commas_and_one_that_cannot_be_is_refused() -> None:
    named = ["dall-e-3.high,dall-e-3.low", "gpt-image-2.default"]
    assert checked_queues(named, CATALOG.models) == ("dall-e-3.high", "dall-e-3.low", "gpt-image-2.default")
    assert checked_queues([], CATALOG.models) == ()
    for wrong in ("dall-e-3", "dall-e-3.urgent", "nope.high", "high"):
        with pytest.raises(JobRefused, match=f"^queues: '{wrong}' is unknown; accepted: MODEL.PRIORITY"):
            checked_queues(["dall-e-3.high", wrong], CATALOG.models)
