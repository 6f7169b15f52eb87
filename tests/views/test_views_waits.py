"""A queued job says what holds it back, and about when it will start: from its place and the pool's pace."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from views_stage import MODEL, Stage, image_us, on_stage

from imagequeue.config.catalog import load_catalog
from imagequeue.config.orgs import Org
from imagequeue.config.settings import Settings
from imagequeue.queue import budget, pools, tenants
from imagequeue.queue.ceilings import pools_of
from imagequeue.queue.pools import PoolState
from imagequeue.queue.record import JobRecord
from imagequeue.queue.tenants import TenantHold
from imagequeue.queue.views import view_of_record
from imagequeue.queue.waits import Place, Scene, why_queued

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOW_US = int(NOW.timestamp() * 1_000_000)
POOL = f"main|{MODEL}"
SHORT_OF_MONEY = budget.worded(budget.Short(detail="month", until=NOW + timedelta(seconds=5)))
RECORD = JobRecord(id="x", status="queued", queue=f"{MODEL}.default")
SERVED = pools_of(load_catalog(), [Org(name="main", base_url="http://127.0.0.1:9/v1", tier="5")])
SCENE = Scene(now=NOW, pools=SERVED, pace_fraction=0.9, workers=1)
PLACE = Place(rank=2, length=10, own=300)


def test_the_start_follows_from_the_place_and_the_pace() -> None:
    """Tier 5 makes 10,000 images a minute; at 0.9 of it 300 jobs take two seconds."""
    waiting = why_queued(RECORD, PLACE, SCENE)
    assert (waiting.reason, waiting.detail) == ("pace", f"place 3 of 10 in {MODEL}.default")
    assert waiting.until == NOW + timedelta(seconds=2)


@given(less=st.integers(0, 10**6), more=st.integers(0, 10**6), factor=st.floats(0.05, 1), n=st.integers(1, 10))
def test_more_jobs_ahead_or_a_slower_pool_never_mean_an_earlier_start(
    less: int, more: int, factor: float, n: int
) -> None:
    slowed = replace(SCENE, states={POOL: PoolState(name=POOL, factor=factor)})
    record = replace(RECORD, n=n)
    soon = why_queued(record, replace(PLACE, own=less), SCENE).until
    late = why_queued(record, replace(PLACE, own=less + more), slowed).until
    assert soon is not None
    assert late is None or late >= soon


@pytest.mark.parametrize(
    ("scene", "reason", "until", "detail"),
    [
        (replace(SCENE, all_suspended=True), "paused", None, "rq suspend"),
        (replace(SCENE, workers=0), "paused", None, "no worker is running"),
        (replace(SCENE, hindered=True), "paused", None, "something keeps every worker from starting calls"),
        (
            replace(SCENE, holds={"default": TenantHold(tenant="default", reason="budget", detail="day cap", until=0)}),
            "budget",
            datetime(1970, 1, 1, tzinfo=UTC),
            "day cap",
        ),
        (
            replace(SCENE, states={POOL: PoolState(name=POOL, suspended="invalid_api_key")}),
            "paused",
            None,
            f"{POOL} is suspended: invalid_api_key",
        ),
        (
            replace(
                SCENE,
                states={POOL: PoolState(name=POOL, suspended=SHORT_OF_MONEY, suspended_until_us=NOW_US + 1_000_000)},
            ),
            "budget",
            NOW + timedelta(seconds=5),
            f"{POOL} is suspended: month",
        ),
        (
            replace(
                SCENE,
                states={POOL: PoolState(name=POOL, paused_until_us=NOW_US + 3_000_000, pause_reason="slow_down")},
            ),
            "paused",
            NOW + timedelta(seconds=3 + 1 + 2),
            "slow_down",
        ),
        (replace(SCENE, pools=()), "pace", None, "place 3 of 10"),
    ],
)
def test_what_holds_a_job_back_is_named(scene: Scene, reason: str, until: datetime | None, detail: str) -> None:
    waiting = why_queued(RECORD, PLACE, scene)
    assert (waiting.reason, waiting.until) == (reason, until)
    assert detail in waiting.detail


@pytest.mark.parametrize(
    ("queue", "detail"),
    [
        (f"{MODEL}.urgent", f"nobody serves {MODEL}.urgent: a queue is MODEL.PRIORITY, with high, default, low"),
        (MODEL, f"nobody serves {MODEL}: a queue is MODEL.PRIORITY, with high, default, low"),
        ("no-model.high", "no organization that is configured here serves no-model now"),
    ],
)
def test_a_job_on_a_queue_that_nobody_serves_is_not_about_to_start(queue: str, detail: str) -> None:
    waiting = why_queued(replace(RECORD, queue=queue), None, SCENE)
    assert (waiting.reason, waiting.until, waiting.detail) == ("paused", None, detail)


def test_a_job_that_waits_for_another_one_by_rqs_means_says_so() -> None:
    view = view_of_record(replace(RECORD, status="deferred"), None, (), waiting=None, link=lambda image: image.sha256)
    assert view.waiting is not None
    assert "depends_on, which is not used here" in view.waiting.detail


def test_places_count_what_is_served_before(settings: Settings) -> None:
    """Of 40 high jobs all, and of two tenants taking turns as many of the other as of one's own."""

    async def play(stage: Stage) -> None:
        await stage.put(40, priority="high")
        await stage.put(30, tenant="other")
        mine = await stage.put(5, tenant="shop")
        view = await stage.client.get(mine[3])
        assert view.waiting is not None
        assert view.waiting.detail == "place 4 of 5 in dall-e-3.default"
        assert view.waiting.until is not None
        now = datetime.fromtimestamp(await pools.server_now_us(stage.queue.scripts) / 1e6, UTC)
        expected = timedelta(microseconds=(40 + 3 + 4) * image_us(settings))
        assert abs(view.waiting.until - now - expected) < timedelta(seconds=2)

    on_stage(settings, play)


def test_a_held_tenant_and_a_suspended_pool_show_in_the_view(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put(tenant="shop")
        scripts = stage.queue.scripts
        hold = TenantHold(tenant="shop", reason="budget", detail="tenant day cap", until=None)
        await tenants.hold(scripts, hold)
        held = (await stage.client.get(job_id)).waiting
        assert held is not None
        assert (held.reason, held.detail) == ("budget", "tenant day cap")
        await tenants.release(scripts, "shop")
        await pools.suspend(scripts, POOL, reason="insufficient_quota")
        suspended = (await stage.client.get(job_id)).waiting
        assert suspended is not None
        assert suspended.detail == f"{POOL} is suspended: insufficient_quota"

    on_stage(settings, play)
