"""Where a job stands: what tenants' turns, priorities' shares and arrivals put before it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from views_stage import MODEL, PLAN, Stage, on_stage

from imagequeue.config.catalog import load_catalog
from imagequeue.config.orgs import Org
from imagequeue.config.settings import Settings
from imagequeue.queue import pools
from imagequeue.queue.ceilings import pools_of
from imagequeue.queue.places import Line, Standing, place_of, sample_flow
from imagequeue.queue.pools import PoolState
from imagequeue.queue.record import JobRecord
from imagequeue.queue.text import text
from imagequeue.queue.waits import Place, Scene, why_queued

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SERVED = pools_of(load_catalog(), [Org(name="main", base_url="http://127.0.0.1:9/v1", tier="5")])
SCENE = Scene(now=NOW, pools=SERVED, pace_fraction=0.9, workers=1)
POOL = f"main|{MODEL}"
PER_SECOND = 10_000 * 0.9 / 60


def record(priority: str = "default", tenant: str = "default") -> JobRecord:
    """Return a queued job."""
    return JobRecord(id="x", status="queued", queue=f"{MODEL}.{priority}", tenant=tenant)


def standing(**lengths: int) -> dict[str, Standing]:
    """Return queues by priority, each with one tenant's line."""
    return {
        f"{MODEL}.{priority}": Standing(lines={"default": Line(at=0, length=length)})
        for priority, length in lengths.items()
    }


def seconds(place: Place, scene: Scene = SCENE) -> float:
    """Return how long a job at this place is told to wait."""
    until = why_queued(record(), place, scene).until
    assert until is not None
    return (until - NOW).total_seconds()


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
    place = place_of(record(priority), rank, standing(high=200, default=300, low=50), SCENE)
    assert seconds(place) == pytest.approx(ahead / PER_SECOND, abs=2 / PER_SECOND)


def test_a_guaranteed_share_brings_a_turn_though_higher_jobs_never_end() -> None:
    """Of 100,000 high jobs the first default one waits for 19, the first low one for 99; without a share for all."""
    queues = standing(high=100_000, default=10, low=10)
    for priority, starts in (("default", 19), ("low", 99)):
        assert seconds(place_of(record(priority), 0, queues, SCENE)) == pytest.approx(starts / PER_SECOND, abs=1e-4)
    strict = replace(SCENE, share_default=0, share_low=0)
    assert seconds(place_of(record(), 0, queues, strict), strict) == pytest.approx(100_000 / PER_SECOND)


def test_jobs_that_keep_arriving_above_make_a_wait_longer() -> None:
    """At a pace of 150 a second, 50 of which are taken by arrivals, 300 jobs take three seconds instead of two."""
    queues = standing(default=301)
    queues[f"{MODEL}.high"] = Standing(arriving=50)
    assert seconds(place_of(record(), 300, queues, SCENE)) == pytest.approx(3, rel=0.01)


@given(mine=st.integers(0, 50), other=st.integers(0, 200), weight=st.sampled_from([0.5, 1.0, 2.0]))
def test_tenants_take_turns_by_weight(mine: int, other: int, weight: float) -> None:
    lines = {"a": Line(at=0, length=200), "b": Line(at=0, length=other)}
    scene = replace(SCENE, tenant_weights={"b": weight})
    place = place_of(record(tenant="a"), mine, {f"{MODEL}.default": Standing(lines=lines)}, scene)
    assert abs(place.rivals[0].images(0) - min(mine * weight, other)) <= 1


def test_arrivals_are_measured_from_the_queue_itself(settings: Settings) -> None:
    """Whatever leaves meanwhile; many jobs at once are no stream, unless they come again and again."""

    async def play(stage: Stage) -> None:
        scripts = stage.queue.scripts
        meta = f"{scripts.keys.own}:queue:{MODEL}.default"

        async def after(jobs: int) -> float:
            at = float(await scripts.redis.hget(meta, "flow_at") or 0)
            await scripts.redis.hset(meta, "flow_at", str(int(at) - 10_000_000))
            await stage.claim(1)
            await stage.put(jobs)
            await sample_flow(scripts, PLAN)
            return float(await scripts.redis.hget(meta, "arrivals") or 0)

        await stage.put(10)
        await sample_flow(scripts, PLAN)
        await sample_flow(scripts, PLAN)
        assert await after(100) == 0
        assert [round(await after(20), 1) for _ in range(4)] == [2.0] * 4
        assert [round(await after(0), 1) for _ in range(3)] == [2.0, 1.3, 0.7]

    on_stage(settings, play)


def test_a_busy_pool_that_starts_less_than_its_pace_is_believed(settings: Settings) -> None:
    """Ten images in ten seconds while jobs waited: 300 more take 300 seconds, and not two."""

    async def play(stage: Stage) -> None:
        scripts = stage.queue.scripts
        pool = f"{scripts.keys.own}:pool:{POOL}"

        async def served() -> float:
            return (await pools.states(scripts, (POOL,)))[POOL].served_per_s

        async def ten_seconds_later() -> None:
            at = int(float(await scripts.redis.hget(pool, "flow_at") or 0))
            words = [int(word) for word in text(await scripts.redis.hget(pool, "flow_seen") or b"").split()]
            earlier = [word - 10_000_000 if index % 2 == 0 else word for index, word in enumerate(words)]
            fields = {"flow_at": str(at - 10_000_000), "flow_seen": " ".join(map(str, earlier))}
            await scripts.redis.hset(pool, mapping=fields)

        await stage.put(60)
        await stage.claim(1)
        await sample_flow(scripts, PLAN)
        for _ in range(2):
            await ten_seconds_later()
            await stage.claim(10)
            await sample_flow(scripts, PLAN)
            assert await served() == pytest.approx(1, rel=0.05)
        await ten_seconds_later()
        await scripts.redis.hset(pool, "paused_until", "1")
        await sample_flow(scripts, PLAN)
        assert await served() == 0  # a pause says nothing of the pool's speed after it

    on_stage(settings, play)
    slow = replace(SCENE, states={POOL: PoolState(name=POOL, served_per_s=1)})
    assert seconds(Place(rank=0, length=1, own=300), slow) == pytest.approx(300)
    nearly = replace(SCENE, states={POOL: PoolState(name=POOL, served_per_s=0.97 * PER_SECOND)})
    assert seconds(Place(rank=0, length=1, own=300), nearly) == pytest.approx(300 / PER_SECOND)


def test_a_lowered_pace_is_told_with_its_return_unless_it_stays() -> None:
    """At 0.6 of 150 a second, two per cent more each second: 3,000 images take 24 s; 33 s where it is lowered again."""
    lowered = replace(SCENE, states={POOL: PoolState(name=POOL, factor=0.6)})
    assert seconds(Place(rank=0, length=1, own=3_000), lowered) == pytest.approx(20 + 4)
    stays = replace(SCENE, states={POOL: PoolState(name=POOL, factor=0.6, stays_slow=True)})
    assert seconds(Place(rank=0, length=1, own=3_000), stays) == pytest.approx(20 / 0.6)
