"""Where a job stands: what tenants' turns, priorities' shares and arrivals put before it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from views_stage import MODEL, PLAN, Stage, on_stage

from imagequeue.config.catalog import load_catalog
from imagequeue.config.orgs import Org
from imagequeue.config.settings import Settings
from imagequeue.queue import pools
from imagequeue.queue.ceilings import pools_of
from imagequeue.queue.places import Load, Turn, place_of, sample_flow
from imagequeue.queue.pools import PoolState
from imagequeue.queue.record import JobRecord
from imagequeue.queue.waits import Place, Scene, why_queued

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SERVED = pools_of(load_catalog(), [Org(name="main", base_url="http://127.0.0.1:9/v1", tier="5")])
SCENE = Scene(now=NOW, pools=SERVED, pace_fraction=0.9, workers=1)
POOL = f"main|{MODEL}"
ALONE = {"default": Turn(at=0, length=100)}


def record(priority: str = "default", tenant: str = "default") -> JobRecord:
    """Return a queued job."""
    return JobRecord(id="x", status="queued", queue=f"{MODEL}.{priority}", tenant=tenant)


def load(**queued: int) -> dict[str, Load]:
    """Return loads by priority."""
    return {f"{MODEL}.{priority}": Load(queued=count) for priority, count in queued.items()}


@pytest.mark.parametrize(
    ("priority", "rank", "ahead"),
    [
        ("high", 10, 10),  # a default job has earned half of its turn by then
        ("high", 100, 100 + 5 + 1),
        ("default", 10, 200 + 10 + 2),
        ("low", 10, 200 + 300 + 10),
    ],
)
def test_higher_priorities_come_first_and_lower_ones_take_their_shares(priority: str, rank: int, ahead: int) -> None:
    place = place_of(record(priority), rank, ALONE, load(high=200, default=300, low=50), SCENE)
    assert abs(place.ahead - ahead) <= 1


def test_a_guaranteed_share_brings_a_turn_though_higher_jobs_never_end() -> None:
    """Of 100,000 high jobs the first default one waits for 20, the first low one for 100."""
    loads = load(high=100_000, default=10, low=10)
    for priority, starts in (("default", 20), ("low", 100)):
        place = place_of(record(priority), 0, ALONE, loads, SCENE)
        assert place.ahead_by_share == pytest.approx(starts)
        waiting = why_queued(record(priority), place, SCENE)
        assert waiting.until is not None
        assert waiting.until - NOW == pytest.approx(timedelta(seconds=starts * 60 / 9_000), abs=timedelta(seconds=0.01))
    strict = replace(SCENE, share_default=0, share_low=0)
    assert place_of(record(), 0, ALONE, loads, strict).ahead_by_share is None


def test_jobs_that_keep_arriving_above_make_a_wait_longer() -> None:
    """At a pace of 150 a second, 50 of which are taken by arrivals, 300 jobs take three seconds instead of two."""
    still = Place(rank=0, length=1, ahead=300)
    busy = replace(still, arriving_per_s=50, ahead_by_share=6_000)
    for place, seconds in ((still, 2), (busy, 3)):
        until = why_queued(record(), place, SCENE).until
        assert until is not None
        assert (until - NOW).total_seconds() == pytest.approx(seconds)


@given(mine=st.integers(0, 50), other=st.integers(0, 200), weight=st.sampled_from([0.5, 1.0, 2.0]))
def test_tenants_take_turns_by_weight(mine: int, other: int, weight: float) -> None:
    turns = {"a": Turn(at=0, length=200), "b": Turn(at=0, length=other)}
    scene = replace(SCENE, tenant_weights={"b": weight})
    place = place_of(record(tenant="a"), mine, turns, {}, scene)
    assert abs(place.ahead - mine - min(mine * weight, other)) <= 1


def test_arrivals_are_measured_from_the_queue_itself(settings: Settings) -> None:
    """Whatever leaves meanwhile; two samples are needed, some seconds apart by the server's clock."""

    async def play(stage: Stage) -> None:
        scripts, queue = stage.queue.scripts, f"{MODEL}.default"
        meta = f"{scripts.keys.own}:queue:{queue}"
        await stage.put(10)
        await sample_flow(scripts, PLAN)
        await sample_flow(scripts, PLAN)
        before = float(await scripts.redis.hget(meta, "flow_at") or 0)
        await scripts.redis.hset(meta, "flow_at", str(int(before) - 10_000_000))
        await stage.claim(5)
        await stage.put(40)
        await sample_flow(scripts, PLAN)
        assert 1.0 < float(await scripts.redis.hget(meta, "arrivals") or 0) <= 2.0  # 4 a second, smoothed from 0

    on_stage(settings, play)


def test_a_busy_pool_that_starts_less_than_its_pace_is_believed(settings: Settings) -> None:
    """Ten images in ten seconds while jobs waited: 300 more take 300 seconds, and not two."""

    async def play(stage: Stage) -> None:
        scripts = stage.queue.scripts
        pool = f"{scripts.keys.own}:pool:{POOL}"
        await stage.put(50)
        await stage.claim(1)
        await sample_flow(scripts, PLAN)
        at = float(await scripts.redis.hget(pool, "flow_at") or 0)
        await scripts.redis.hset(pool, "flow_at", str(int(at) - 10_000_000))
        await stage.claim(10)
        await sample_flow(scripts, PLAN)
        state = (await pools.states(scripts, (POOL,)))[POOL]
        assert state.served_per_s == pytest.approx(1, rel=0.2)

    on_stage(settings, play)
    slow = replace(SCENE, states={POOL: PoolState(name=POOL, served_per_s=1)})
    until = why_queued(record(), Place(rank=0, length=1, ahead=300), slow).until
    assert until == NOW + timedelta(seconds=300)
