"""A queue with jobs in every state: the product's own calls on a real server and a ledger of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

from imagequeue.config.settings import Settings
from imagequeue.ledger.api import Ending as CallEnding
from imagequeue.ledger.api import FailureStatus, Held, HoldRequest, ImageRecord, JobFailure, Settlement
from imagequeue.producer.client import AsyncImageQueue
from imagequeue.producer.open_queue import OpenQueue
from imagequeue.queue.ceilings import pools_of, unit_us
from imagequeue.queue.claims import PARKED, Claim, ClaimPlan, Claims, Ending, PoolPlan

Answer = TypeVar("Answer")

MODEL = "dall-e-3"
QUEUES = tuple(f"{MODEL}.{priority}" for priority in ("high", "default", "low"))
TTL_SECONDS = 1_000
LEASE_US = 60_000_000
IMAGE = ImageRecord(sha256="ab" * 32, bytes=1_234, width=1024, height=1024, format="png", revised_prompt="a fox")
PLAN = ClaimPlan(
    pools=(
        PoolPlan(name=f"main|{MODEL}", image_us=0, high=QUEUES[:1], default=QUEUES[1:2], low=QUEUES[2:]),
    )
)  # fmt: skip


@dataclass
class Stage:
    """An open client with what lies behind it, and a worker's hands."""

    client: AsyncImageQueue
    queue: OpenQueue
    settings: Settings
    worker: Claims

    async def put(self, count: int = 1, **fields: Any) -> list[str]:
        """Submit jobs alike and return their ids."""
        jobs = [{"prompt": f"job {number}", "model": MODEL, **fields} for number in range(count)]
        return [handle.id for handle in await self.client.submit_many(jobs)]

    async def claim(self, most: int = 1) -> Sequence[Claim]:
        """Claim jobs as the worker."""
        return (await self.worker.claim(PLAN.encode(), most)).claims

    async def finish(self, claim: Claim, *, nano: int = 40_000_000) -> None:
        """End a job as a worker does: ledger first."""
        ledger = await self.queue.ledger()
        held = await self.hold(claim)
        moment = datetime.now(UTC)
        settlement = Settlement(usd_nano=nano, images=(IMAGE,), sent_at=moment, ended_at=moment, status_code=200)
        await ledger.settle(held.attempt_id, settlement)
        await self.worker.settle(claim, Ending(status="finished", ttl_seconds=TTL_SECONDS, value={}))

    async def fail(self, claim: Claim, code: str = "content_policy_violation") -> None:
        """Fail a job for good."""
        ledger = await self.queue.ledger()
        held = await self.hold(claim)
        status: FailureStatus = "expired" if code == "expired" else "failed"
        failure = JobFailure(code=code, message="no", retryable=False, status=status)
        await ledger.void(held.attempt_id, CallEnding(ended_at=datetime.now(UTC), status_code=400), failure)
        error = {"code": code, "message": "no", "retryable": False}
        await self.worker.settle(claim, Ending(status="failed", ttl_seconds=TTL_SECONDS, error=error))

    async def give_back(self, claim: Claim, delay_us: int, why: Mapping[str, Any]) -> None:
        """Let a job wait for a time, or park it."""
        await self.worker.requeue(claim, delay_us=delay_us, why=why)

    async def park(self, claim: Claim) -> None:
        """Park a job until a person decides."""
        await self.give_back(claim, PARKED, {"reason": "doubt", "until": None, "detail": "never answered"})

    async def hold(self, claim: Claim) -> Held:
        """Commit an attempt."""
        request = HoldRequest(
            job_id=claim.id, lease_token=uuid4().hex, org="main", model=MODEL, tenant="default",
            priority=claim.queue.rpartition(".")[2], operation="generation", images=1, upper_bound_nano=80_000_000,
            catalog_version="test",
        )  # fmt: skip
        held = await (await self.queue.ledger()).hold(request)
        assert isinstance(held, Held)
        return held


def on_stage(settings: Settings, play: Callable[[Stage], Awaitable[Answer]]) -> Answer:
    """Run a test on a stage of its own, with one worker registered."""

    async def opened() -> Answer:
        async with AsyncImageQueue(settings) as client:
            queue = client._opened
            assert queue is not None
            worker = Claims(queue.scripts, f"w-{uuid4().hex[:8]}")
            facts: dict[str, str | int] = {"queues": ",".join(QUEUES), "pid": 7, "hostname": "here", "state": "busy"}
            await worker.register(lease_us=LEASE_US, facts=facts, queues=QUEUES)
            return await play(Stage(client=client, queue=queue, settings=settings, worker=worker))

    return asyncio.run(opened())


def image_us(settings: Settings) -> float:
    """Return the microseconds that one image of the model takes at the working pace."""
    from imagequeue.config.catalog import load_catalog

    pool = next(pool for pool in pools_of(load_catalog(), settings.orgs) if MODEL in pool.models)
    return unit_us(pool.limits.images_per_minute, settings.pace_fraction)
