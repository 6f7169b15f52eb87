"""The gate before each call: what stalls behind it comes out at the ceiling, whichever worker it belongs to."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from worker_life import LifeWorld, life_world

from imagequeue.config.catalog import Limits
from imagequeue.queue import pools
from imagequeue.queue.ceilings import Pool
from imagequeue.queue.claims import Claim, ClaimPlan, Claims, PoolPlan
from imagequeue.queue.connection import connect
from imagequeue.queue.scripts import Scripts
from imagequeue.worker.gate import ASKS_MAX, Gates
from imagequeue.worker.health import Health

POOL = "main|dall-e-3"
PER_MINUTE = 30_000
INTERVAL_SECONDS = 60 / PER_MINUTE
BURST_SECONDS = 0.02
LATE_SECONDS = 0.01
"""Between the server's word and ours lies the way back."""


@dataclass
class Sender:
    """A worker with claims that are ready to be sent."""

    claims: Claims
    given: list[Claim]
    gates: Gates


async def _pool(world: LifeWorld, unit: str = "images") -> Pool:
    images, tokens = (PER_MINUTE, None) if unit == "images" else (None, PER_MINUTE)
    limits = Limits(images_per_minute=images, tokens_per_minute=tokens, source="test")
    return replace(world.board.pools[POOL], limits=limits)


async def _sender(world: LifeWorld, jobs: int) -> Sender:
    for _ in range(jobs):
        await world.put()
    claims = await world.worker()
    unlimited = PoolPlan(name=POOL, image_us=0, default=("dall-e-3.default",))
    given = list((await claims.claim(ClaimPlan(pools=(unlimited,)).encode(), jobs)).claims)
    return Sender(claims, given, Gates(burst_seconds=BURST_SECONDS, health=Health()))


def _run(server_url: str, folder: Path, story: Callable[[LifeWorld], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(20), life_world(server_url, folder) as world:
            await story(world)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("unit", "weights"),
    [("images", [1] * 30), ("images", [1, 4, 10, 1, 1] * 4), ("tokens", [1, 4, 10, 1, 1] * 4)],
    ids=["single", "mixed", "tokens"],
)
def test_no_window_of_all_workers_together_holds_more_than_burst_and_rate(
    server_url: str, tmp_path: Path, unit: str, weights: list[int]
) -> None:
    """Two workers on a loop that stands still: in every window of t seconds at most burst + t at the ceiling."""

    async def story(world: LifeWorld) -> None:
        pool = await _pool(world, unit)
        senders = [await _sender(world, len(weights)) for _ in range(2)]
        passed: list[tuple[float, int]] = []

        async def one(sender: Sender, claim: Claim, n: int) -> None:
            images, tokens = (n, 0) if unit == "images" else (1, n)
            assert await sender.gates.passed(sender.claims, claim, pool, images, tokens)
            passed.append((time.monotonic(), n))

        tasks = [
            asyncio.create_task(one(sender, claim, n))
            for sender in senders
            for claim, n in zip(sender.given, weights, strict=True)
        ]
        await asyncio.sleep(0.01)
        time.sleep(0.06)  # noqa: ASYNC251 - a loop that stands still is the case
        await asyncio.gather(*tasks)
        assert sorted(n for _, n in passed) == sorted(weights * 2)
        for first, (begun, _) in enumerate(passed):
            for last in range(first, len(passed)):
                within = sum(n for _, n in passed[first + 1 : last + 1])  # the first may be larger than the bucket
                allowed = (passed[last][0] - begun + BURST_SECONDS + LATE_SECONDS) / INTERVAL_SECONDS + max(weights)
                assert within <= allowed

    _run(server_url, tmp_path, story)


class HeldReplies(Claims):
    """A worker whose first permission reaches it only when all others have theirs: the machine stood still."""

    def __init__(self, claims: Claims, everyone: asyncio.Barrier) -> None:
        super().__init__(claims._scripts, claims.worker)
        self._everyone, self._first = everyone, True

    async def permit(self, *asked: Any, **how: Any) -> tuple[int, tuple[bool | None, ...]]:
        """Ask; what is granted first comes late."""
        wait_us, answers = await super().permit(*asked, **how)
        if self._first and True in answers:
            self._first = False
            await self._everyone.wait()
        return wait_us, answers


def test_permissions_that_come_late_are_asked_for_again(server_url: str, tmp_path: Path) -> None:
    """Each was given at its own moment; sent as they arrive, those of many workers would be one burst."""
    workers, jobs = 24, 3

    async def story(world: LifeWorld) -> None:
        pool, everyone = await _pool(world), asyncio.Barrier(workers)
        passed: list[float] = []

        async def one(sender: Sender, claims: Claims, claim: Claim) -> None:
            assert await sender.gates.passed(claims, claim, pool, 1, 0)
            passed.append(time.monotonic())

        senders = [await _sender(world, jobs) for _ in range(workers)]
        held = [HeldReplies(sender.claims, everyone) for sender in senders]
        await asyncio.gather(
            *(
                one(sender, claims, claim)
                for sender, claims in zip(senders, held, strict=True)
                for claim in sender.given
            )
        )
        assert len(passed) == workers * jobs
        for first, begun in enumerate(passed):
            for last in range(first, len(passed)):
                allowed = (passed[last] - begun + 3 * BURST_SECONDS + LATE_SECONDS) / INTERVAL_SECONDS + 1
                assert last - first + 1 <= allowed

    _run(server_url, tmp_path, story)


def test_a_permission_is_asked_for_again_a_bounded_number_of_times(server_url: str, tmp_path: Path) -> None:
    """Where every answer takes long the call is sent all the same: slow is not never."""

    class SlowReplies(Claims):
        """Every answer takes longer than it is good for."""

        asked = 0

        async def permit(self, *asked: Any, **how: Any) -> tuple[int, tuple[bool | None, ...]]:
            """Ask, and wait."""
            answer = await super().permit(*asked, **how)
            self.asked += 1
            await asyncio.sleep(3 * BURST_SECONDS)
            return answer

    async def story(world: LifeWorld) -> None:
        pool, sender = await _pool(world), await _sender(world, 1)
        slow = SlowReplies(world.scripts, sender.claims.worker)
        assert await sender.gates.passed(slow, sender.given[0], pool, 1, 0)
        assert slow.asked == ASKS_MAX

    _run(server_url, tmp_path, story)


def test_where_every_answer_takes_long_a_call_soon_pays_for_one_permission(server_url: str, tmp_path: Path) -> None:
    """A server far away, or a short burst: what is paid for twice would leave half of the pace."""
    late_seconds = 3 * BURST_SECONDS

    class FarAway(Claims):
        """Every answer takes long."""

        asked = 0

        async def permit(self, pool: str, wanted: Any, **how: Any) -> tuple[int, tuple[bool | None, ...]]:
            """Ask, and wait."""
            answer = await super().permit(pool, wanted, **how)
            self.asked += answer[1].count(True)
            await asyncio.sleep(late_seconds)
            return answer

    async def story(world: LifeWorld) -> None:
        limits = Limits(images_per_minute=None, tokens_per_minute=None, source="test")
        pool, sender = replace(await _pool(world), limits=limits), await _sender(world, 64)
        far = FarAway(world.scripts, sender.claims.worker)
        for _ in range(2):
            await asyncio.gather(*(sender.gates.passed(far, claim, pool, 1, 0) for claim in sender.given))
        far.asked = 0
        await asyncio.gather(*(sender.gates.passed(far, claim, pool, 1, 0) for claim in sender.given))
        assert far.asked == len(sender.given)

    _run(server_url, tmp_path, story)


def test_a_stopped_job_gives_its_turn_away(server_url: str, tmp_path: Path) -> None:
    """A cancelled waiter costs no permit and keeps nobody waiting."""

    async def story(world: LifeWorld) -> None:
        pool = replace(await _pool(world), limits=Limits(images_per_minute=150, tokens_per_minute=None, source="test"))
        sender = await _sender(world, 22)
        begun = time.monotonic()
        await sender.gates.passed(sender.claims, sender.given[0], pool, 1, 0)
        tasks = [
            asyncio.create_task(sender.gates.passed(sender.claims, claim, pool, 1, 0)) for claim in sender.given[1:]
        ]
        await asyncio.sleep(0)
        for task in tasks[:-1]:
            task.cancel()
        assert await tasks[-1]
        assert time.monotonic() - begun < 20 * 60 / 150

    _run(server_url, tmp_path, story)


async def _paused(world: LifeWorld, _: Sender) -> None:
    await pools.refuse(world.scripts, POOL, wait_us=60_000_000, reason="test")


async def _suspended(world: LifeWorld, _: Sender) -> None:
    await pools.suspend(world.scripts, POOL, reason="test")


async def _lost(world: LifeWorld, sender: Sender) -> None:
    await world.lose(sender.claims)


async def _cancelled(world: LifeWorld, sender: Sender) -> None:
    await world.scripts.redis.hset(world.scripts.keys.job(sender.given[0].id), "iq_cancel", "1")


async def _late(world: LifeWorld, sender: Sender) -> None:
    await world.scripts.redis.hset(world.scripts.keys.job(sender.given[0].id), "iq_deadline", "1")


async def _probing(world: LifeWorld, _: Sender) -> None:
    """The pool's pause is over, and another job goes first."""
    soon = time.time() * 1_000_000 + 60_000_000
    await world.scripts.redis.hset(
        f"{world.scripts.keys.own}:pool:{POOL}", mapping={"probe_until": f"{soon:.0f}", "probe": "another"}
    )


@pytest.mark.parametrize("happens", [_paused, _suspended, _lost, _cancelled, _late, _probing])
def test_what_must_not_be_sent_any_more_is_kept_back(
    server_url: str, tmp_path: Path, happens: Callable[[LifeWorld, Sender], Awaitable[None]]
) -> None:
    """Between its claim and its call the pool paused, the claim was lost, or the job was cancelled or became late."""

    async def story(world: LifeWorld) -> None:
        pool, sender = await _pool(world), await _sender(world, 1)
        await happens(world, sender)
        assert not await sender.gates.passed(sender.claims, sender.given[0], pool, 1, 0)

    _run(server_url, tmp_path, story)


def test_a_strangers_key_in_a_jobs_place_stops_nobody(server_url: str, tmp_path: Path) -> None:
    """Somebody put a list where the job hash was: the others are still asked for and answered."""

    async def story(world: LifeWorld) -> None:
        pool, sender = await _pool(world), await _sender(world, 2)
        key = world.scripts.keys.job(sender.given[0].id)
        await world.scripts.redis.delete(key)
        await world.scripts.redis.lpush(key, "a stranger's")
        asked = [sender.gates.passed(sender.claims, claim, pool, 1, 0) for claim in sender.given]
        assert (await asyncio.gather(*asked))[1]

    _run(server_url, tmp_path, story)


def test_the_probe_itself_is_sent(server_url: str, tmp_path: Path) -> None:
    """After a pause one job goes first, and the gate knows it."""

    async def story(world: LifeWorld) -> None:
        pool = await _pool(world)
        await pools.refuse(world.scripts, POOL, wait_us=1, reason="test")
        sender = await _sender(world, 2)
        (probe,) = sender.given
        assert await sender.gates.passed(sender.claims, probe, pool, 1, 0)

    _run(server_url, tmp_path, story)


def test_nothing_is_sent_while_the_server_is_away(server_url: str, tmp_path: Path) -> None:
    """Redis away: no calls. The job goes back, and the worker's note says why."""

    async def story(world: LifeWorld) -> None:
        pool, sender = await _pool(world), await _sender(world, 1)
        health = Health()
        gates = Gates(burst_seconds=BURST_SECONDS, health=health)
        nowhere = connect("redis://127.0.0.1:1")
        away = Claims(Scripts(nowhere, world.scripts.keys), sender.claims.worker)
        assert not await gates.passed(away, sender.given[0], pool, 1, 0)
        await nowhere.aclose()
        assert health.sick == ("queue",)

    _run(server_url, tmp_path, story)
