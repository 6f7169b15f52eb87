"""What a worker asks of the queue: claim, settle, requeue, and what keeps the claims of the dead from being lost."""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from redis.exceptions import ResponseError

from imagequeue.config.errors import ImageQueueError, QueueUnavailable
from imagequeue.queue.scripts import TROUBLE, Argument, Scripts
from imagequeue.queue.text import whole
from imagequeue.queue.together import Together

Kind = Literal["run", "cached", "expired", "cancelled", "unserved", "malformed", "poison"]
End = Literal["finished", "failed", "canceled"]

PARKED = -1
PERMITS_MAX = 64
REAP_BATCH_MAX = 500
PROMOTE_BATCH_MAX = 500
FORGET_BATCH_MAX = 1000
TEND_BATCH_MAX = 50
TEND_AGAIN_US = 1_000_000
SUCCESSFUL, FAILED = 1, 2  # RQ's Result.Type
PERMIT_ANSWERS: Mapping[int, bool | None] = {1: True, 0: None, -1: False}


class WorkerGone(ImageQueueError):
    """This worker was given up for dead; its claims belong to others now."""


@dataclass(frozen=True, kw_only=True)
class PoolPlan:
    """How one pool may be used: its working pace and the queues it serves, by priority.

    `image_us` and `token_us` are the microseconds one image or one token takes at that pace, 0 for no limit. Jobs of
    other models may overflow to its `models`.
    """

    name: str
    image_us: float
    token_us: float = 0.0
    models: tuple[str, ...] = ()
    burst_us: float = 100_000.0
    weight: float = 1.0
    high: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    low: tuple[str, ...] = ()

    def queues(self) -> tuple[str, ...]:
        """Return all its queues, highest priority first."""
        return self.high + self.default + self.low


@dataclass(frozen=True, kw_only=True)
class ClaimPlan:
    """What a worker may claim: pools, the queues that no pool serves, and how tenants and priorities share."""

    pools: tuple[PoolPlan, ...] = ()
    unserved: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    share_default: float = 0.05
    share_low: float = 0.01

    def encode(self) -> str:
        """Return the JSON that claim.lua reads."""
        pools = [
            {
                "name": pool.name, "models": pool.models, "image_us": pool.image_us, "token_us": pool.token_us,
                "burst_us": pool.burst_us, "weight": pool.weight,
                "high": pool.high, "default": pool.default, "low": pool.low,
            }
            for pool in self.pools
        ]  # fmt: skip
        shares = {"default": self.share_default, "low": self.share_low}
        return json.dumps({"pools": pools, "unserved": self.unserved, "weights": dict(self.weights), "shares": shares})

    def queues(self) -> tuple[str, ...]:
        """Return every queue of the plan once."""
        names = [name for pool in self.pools for name in pool.queues()]
        return tuple(dict.fromkeys([*names, *self.unserved]))


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job that is this worker's until it settles or requeues it.

    `delivery` fences: one number for each time it was claimed. `tries` counts its attempts that failed so far.
    """

    id: str
    queue: str
    pool: str
    delivery: int
    data: bytes
    kind: Kind
    tries: int = 0


@dataclass(frozen=True, kw_only=True)
class ClaimAnswer:
    """What a claim gave.

    `wait_us` until the next may start, None when nothing can start by itself; `foreign` queues need an intake.
    """

    now_us: int
    wait_us: int | None
    suspended: bool
    foreign: tuple[str, ...]
    claims: tuple[Claim, ...]


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a claimed job ends: RQ's status, the value or error kept for RQ, and the corrections of the token pace.

    `tokens_us` corrects the level charged when it was claimed, `sent_tokens_us` the one charged when it was sent.
    `stored` is the result to keep for `stored_seconds` if the job takes part in the cache, `source` where its images
    came from.
    """

    status: End
    ttl_seconds: int
    value: Any = None
    error: Mapping[str, Any] | None = None
    worked_seconds: float = 0.0
    pool: str = ""
    tokens_us: float = 0.0
    sent_tokens_us: float = 0.0
    stored: str = ""
    stored_seconds: int = 0
    source: Literal["", "made", "cached"] = ""


class Claims:
    """The claims of one worker, under its name."""

    def __init__(self, scripts: Scripts, worker: str) -> None:
        self._scripts = scripts
        self._ends = Together(scripts)
        self.worker = worker

    async def register(self, *, lease_us: int, facts: Mapping[str, str | int], queues: Sequence[str]) -> None:
        """Be born: from now on this worker may claim."""
        pairs: list[Argument] = [part for pair in facts.items() for part in pair]
        await self._scripts.run("register", [self.worker, lease_us, *pairs, "--", *queues])

    async def claim(self, plan: str, most: int) -> ClaimAnswer:
        """Return up to `most` jobs that may start now; WorkerGone when this worker was given up."""
        try:
            answer = await self._scripts.run("claim", [self.worker, most, plan])
        except ResponseError as error:
            if "WORKERGONE" in str(error):
                raise WorkerGone(str(error)) from error
            raise
        now, wait, suspended, foreign, given = answer
        return ClaimAnswer(
            now_us=int(now),
            wait_us=None if int(wait) < 0 else int(wait),
            suspended=bool(suspended),
            foreign=tuple(name.decode() for name in foreign),
            claims=tuple(map(_claim, given)),
        )

    async def permit(
        self, pool: str, wanted: Sequence[tuple[Claim, int, int]], *, image_us: float, token_us: float, burst_us: float
    ) -> tuple[int, tuple[bool | None, ...]]:
        """Say which claimed jobs, each with its images and its estimate of tokens, may be sent now.

        For each: True, False (give it back), or None (ask again, after the microseconds that come first in the answer).
        `image_us`, `token_us` are what one image or token takes at the pool's ceiling, 0 for none; PERMITS_MAX jobs at
        most.
        """
        jobs: list[Argument] = []
        for claim, images, tokens in wanted:
            jobs += (claim.id, claim.delivery, images, tokens)
        wait_us, answers = await self._scripts.run("permit", [self.worker, pool, image_us, token_us, burst_us, *jobs])
        return int(wait_us), tuple(PERMIT_ANSWERS[answer] for answer in answers)

    async def cleared(self, claim: Claim) -> int:
        """Return the latest delivery of a claimed job of which a person said that its doubts hold it back no more."""
        try:
            value = await self._scripts.redis.hget(self._scripts.keys.job(claim.id), "iq_cleared")
        except TROUBLE as error:
            raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
        return whole(value)

    async def held(self, known: Iterable[str]) -> tuple[Claim, ...]:
        """Return the claims the server has for this worker beyond the known ones: those of a lost reply."""
        return tuple(map(_claim, await self._scripts.run("held", [self.worker, *known])))

    async def settle(self, claim: Claim, ending: Ending) -> bool:
        """End a claimed job. False when the claim is somebody else's by now, or was settled before."""
        error = "" if ending.error is None else json.dumps(ending.error)
        kind, name, value = _result(ending)
        arguments: list[Argument] = [
            self.worker, claim.id, claim.delivery, ending.status, ending.ttl_seconds, kind, name, value,
            f"{ending.worked_seconds:.6f}", error, ending.pool, f"{ending.tokens_us:.0f}",
            ending.stored, ending.stored_seconds, ending.source, f"{ending.sent_tokens_us:.0f}",
        ]  # fmt: skip
        return bool(await self._ends.run("settle", arguments))

    async def requeue(
        self,
        claim: Claim,
        *,
        delay_us: int = 0,
        why: Mapping[str, Any] | None = None,
        counts: bool = False,
        queue: str = "",
        fields: Mapping[str, Argument] | None = None,
    ) -> bool:
        """Give a claimed job back: to its line (0), after a delay, or parked (PARKED). False: it is no longer ours."""
        pairs: list[Argument] = [part for pair in (fields or {}).items() for part in pair]
        reason = "" if why is None else json.dumps(why)
        arguments: list[Argument] = [
            self.worker, claim.id, claim.delivery, delay_us, reason, int(counts), queue, *pairs,
        ]  # fmt: skip
        return bool(await self._scripts.run("requeue", arguments))

    async def switch(self, claim: Claim, pool: PoolPlan, *, images: int, tokens: int) -> bool:
        """Charge another pool for a claimed job, now or not at all. False: no room, paused, or no longer ours."""
        arguments: list[Argument] = [
            self.worker, claim.id, claim.delivery, pool.name, images, tokens,
            pool.image_us, pool.token_us, pool.burst_us,
        ]  # fmt: skip
        return int(await self._scripts.run("switch", arguments)) == 1

    async def uncharge(self, pool: str, *, images: int, tokens: int, image_us: float, token_us: float) -> None:
        """Give back what a pool was charged for a claimed job that makes no call after all."""
        await self._scripts.run("uncharge", [pool, images, tokens, image_us, token_us])

    async def retire(self, queues: Sequence[str]) -> int:
        """Leave, giving back what is still claimed; returns how many jobs that were."""
        return int(await self._scripts.run("retire", [self.worker, *queues]))


async def reap(scripts: Scripts, *, worker: str = "") -> int:
    """Return the claims of workers whose lease ran out to their queues; gives their number.

    `worker` is the one that reaps: it does so only while its own lease holds.
    """
    total = 0
    more = True
    while more:
        returned, _, again = await scripts.run("reap", [REAP_BATCH_MAX, worker])
        total += int(returned)
        more = bool(again) and bool(returned)
    return total


async def promote(scripts: Scripts, queues: Sequence[str]) -> int | None:
    """Move waiting jobs whose time has come to their lines; returns microseconds until the next one is due, if any."""
    _, next_due = await scripts.run("promote", [PROMOTE_BATCH_MAX, *queues])
    return None if int(next_due) < 0 else int(next_due)


async def forget(scripts: Scripts, queues: Sequence[str]) -> int:
    """Take ended jobs whose time is over off RQ's registries; returns how many."""
    return int(await scripts.run("forget", [FORGET_BATCH_MAX, *queues]))


async def tend(scripts: Scripts) -> int:
    """Look after followers whose leader vanished; returns of how many forms."""
    return int(await scripts.run("tend", [TEND_BATCH_MAX, TEND_AGAIN_US]))


async def pending(scripts: Scripts, queues: Sequence[str]) -> int:
    """Return how many jobs are claimed by any worker, dead ones too, or wait for a time."""
    return int(await scripts.run("pending", queues))


def exc_string(text: str) -> str:
    """Return an error text as RQ keeps it in a result."""
    return base64.b64encode(zlib.compress(text.encode())).decode()


def _result(ending: Ending) -> tuple[str | int, str, str]:
    if ending.status == "finished":
        return SUCCESSFUL, "return_value", base64.b64encode(json.dumps(ending.value).encode()).decode()
    if ending.status == "failed":
        error = ending.error or {}
        return FAILED, "exc_string", exc_string(f"{error.get('code')}: {error.get('message')}")
    return "", "", ""


def _claim(row: Sequence[Any]) -> Claim:
    job_id, queue, pool, delivery, data, kind, tries = row
    return Claim(
        id=job_id.decode(),
        queue=queue.decode(),
        pool=pool.decode(),
        delivery=int(delivery),
        data=data,
        kind=kind.decode(),
        tries=int(tries),
    )
