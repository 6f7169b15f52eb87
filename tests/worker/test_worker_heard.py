"""What answers say of the limits lowers the pace below the known ceiling, says why, and never raises it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_life import life_world
from worker_site import worker_site
from worker_values import CATALOG, org

from imagequeue.queue import pools
from imagequeue.queue.ceilings import Lowered, pools_of
from imagequeue.queue.reported import forget_said, read_reported, share_now
from imagequeue.queue.scene import read_scene
from imagequeue.queue.scripts import Scripts
from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import running_simulator
from imagequeue.worker import board
from imagequeue.worker.heard import Hearing, Said, said

POOL = "main|dall-e-3"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Said()),
        ({"x-ratelimit-limit-images": "15"}, Said(images_per_minute=15, header="x-ratelimit-limit-images")),
        (
            {"x-ratelimit-limit-images": "15", "x-ratelimit-limit-requests": "7"},
            Said(images_per_minute=7, header="x-ratelimit-limit-requests"),
        ),
        (
            {"x-ratelimit-limit-tokens": "9e3", "x-ratelimit-limit-project-tokens": "8000"},
            Said(tokens_per_minute=8000, header="x-ratelimit-limit-project-tokens"),
        ),
        ({"x-ratelimit-limit-requests": "200", "x-ratelimit-reset-requests": "6h12m0s"}, Said()),
        ({"x-ratelimit-limit-requests": "nan"}, Said()),
        ({"x-ratelimit-limit-requests": "0"}, Said()),
        ({"x-ratelimit-limit-requests": "-5"}, Said()),
        (
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "9",
                "x-ratelimit-reset-requests": "59s",
            },
            Said(images_per_minute=500, header="x-ratelimit-limit-requests", little_left="requests"),
        ),
        (
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "120ms",
            },
            Said(images_per_minute=500, header="x-ratelimit-limit-requests"),
        ),
    ],
)
def test_headers_name_ceilings_per_minute(headers: dict[str, str], expected: Said) -> None:
    assert said(headers) == expected


@given(st.dictionaries(st.sampled_from(["x-ratelimit-limit-images", "x-ratelimit-reset-images"]), st.text(max_size=12)))
def test_any_header_is_read_without_a_fault(headers: dict[str, str]) -> None:
    found = said(headers)
    assert found.images_per_minute is None or found.images_per_minute > 0


@given(known=st.floats(1, 1e6), named=st.floats(1, 1e6), share=st.floats(0.01, 1))
def test_nothing_that_is_said_raises_a_ceiling(known: float, named: float, share: float) -> None:
    limits = {"dall-e-3": {"images_per_minute": known, "tokens_per_minute": None}}
    lowered = {POOL: Lowered(images_per_minute=named, said_by="a header says", share=share, reason="429")}
    (plain,) = (one for one in pools_of(CATALOG, (org(limits=limits),)) if one.name == POOL)
    (pool,) = (one for one in pools_of(CATALOG, (org(limits=limits),), lowered=lowered) if one.name == POOL)
    assert plain.limits.images_per_minute == known
    assert pool.limits.images_per_minute == pytest.approx(min(known, named) * share)
    assert pool.limits.images_per_minute <= known
    assert bool(pool.lowered) == (pool.limits.images_per_minute < known)
    assert (pool == plain) or pool.limits.source.startswith(plain.limits.source)


@given(share=st.floats(0.01, 1), minutes=st.floats(0, 1000))
def test_a_learned_share_comes_back_slowly_and_wholly(share: float, minutes: float) -> None:
    now = share_now(share, minutes * 60)
    assert 0.01 <= now <= 1
    assert now <= share * (1 + 0.1 * minutes) + 1e-9 or now == 0.01
    assert share_now(share, 1e9) == 1


def test_an_answer_is_noted_once_for_each_change(server_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            hearing = Hearing(world.scripts)
            pool = world.board.pools[POOL]
            first = {"x-ratelimit-limit-requests": "300"}
            news = hearing.hear(pool, "dall-e-3", first)
            assert news is not None
            await news
            assert hearing.hear(pool, "dall-e-3", first) is None
            await world.board.refresh(world.scripts)
            lowered = world.board.pools[POOL]
            assert (lowered.limits.images_per_minute, pool.limits.images_per_minute) == (300, 10_000)
            assert "x-ratelimit-limit-requests says 300 images a minute, not 10,000" in lowered.limits.source
            plan = world.board.pool_plan(POOL)
            assert plan is not None
            assert plan.image_us == pytest.approx(60_000_000 / (300 * world.settings.pace_fraction))
            await forget_said(world.scripts, POOL)
            assert (await read_reported(world.scripts)).lowered == {}

    asyncio.run(story())


def test_a_model_that_turns_out_gone_while_the_board_is_looked_up_stays_gone(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its job would be called again before the next look."""

    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:

            async def told_meanwhile(_scripts: Scripts) -> list[str]:
                world.board.model_gone("main", "dall-e-3")
                return []

            monkeypatch.setattr(board, "suspended_queues", told_meanwhile)
            await world.board.refresh(world.scripts)
            assert not world.board.is_served("dall-e-3")

    asyncio.run(story())


def test_a_header_that_says_nearly_nothing_is_left_slows_the_pool_for_a_while(server_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with life_world(server_url, tmp_path) as world:
            hearing = Hearing(world.scripts)
            headers = {f"x-ratelimit-{name}-requests": value for name, value in LITTLE.items()}
            news = hearing.hear(world.board.pools[POOL], "dall-e-3", headers)
            assert news is not None
            await news
            assert hearing.hear(world.board.pools[POOL], "dall-e-3", headers) is None
            state = (await pools.states(world.scripts, (POOL,)))[POOL]
            assert 0.8 <= state.factor < 0.85
            assert state.slowed.startswith("x-ratelimit-remaining-requests")

    asyncio.run(story())


LITTLE = {"limit": "10000", "remaining": "3", "reset": "59.9s"}


def test_a_worker_keeps_to_the_ceiling_that_answers_name(server_url: str, tmp_path: Path) -> None:
    """Configured for 60,000 a minute, the provider publishes 6,000: known from the first answer on."""
    limits = {"dall-e-3": GroupLimits(images_per_minute=6_000)}
    config = SimulatorConfig(
        orgs=(SimulatedOrg(name="main", limits=limits, bucket_seconds=60),),
        latency=Latency(seconds=0.02), render="fast", image_bytes=0, seed=1,
    )  # fmt: skip
    with running_simulator(config) as simulator:
        site = worker_site(server_url, simulator, tmp_path)
        site.put()
        site.burst()
        pool = asyncio.run(_scene_pool(site))
        assert pool.limits.images_per_minute == 6_000
        assert "x-ratelimit-limit-requests says 6,000 images a minute, not 60,000" in pool.lowered


async def _scene_pool(site: Any) -> Any:
    from imagequeue.queue.connection import connect
    from imagequeue.queue.scripts import Scripts

    client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
    scene = await read_scene(Scripts(client, site.settings.keys), site.settings, CATALOG)
    await client.aclose()
    return next(replace(pool) for pool in scene.pools if pool.name == POOL)
