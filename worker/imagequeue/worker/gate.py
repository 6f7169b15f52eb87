"""The last look before a call is sent: together, all workers send no faster than the provider's own ceiling.

A claim charges the working pace. Between it and the call lie the ledger's commit and whatever else stalls a process,
and what was late comes out all at once, from several processes perhaps at the same moment: the provider sees a burst.
So calls that are ready to be sent ask the queue's server once more, many at a time; it also keeps back those whose pool
was paused meanwhile, that were cancelled, or that are another worker's by now.

A permission is for the moment it was given at. One that reaches its call much later, because the server, the process or
the whole machine stood still, is asked for again: of several workers such ones would come out together.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from imagequeue.config.errors import QueueUnavailable
from imagequeue.queue.ceilings import Pool, unit_us
from imagequeue.queue.claims import PERMITS_MAX, Claim, Claims
from imagequeue.worker.health import Health

SENDS_PER_BURST: Final = 0.5
"""Half of the burst is left for what the server's word does not cover: the way from there to the provider."""
FRESH_BURSTS: Final = 2.0
"""A permission that was asked for longer ago than so many bursts is stale, unless that is usual here."""
FRESH_USUALS: Final = 3.0
"""So many times the usual age is not stale: a server far away must not make each call pay twice."""
USUAL_SECONDS_FIRST: Final = 0.005
USUAL_SHARE: Final = 0.05
"""How much of a new age goes into the usual one; at most twice that counts, so that a standstill changes little."""
ASKS_MAX: Final = 2
"""So often one is asked for; where all takes long, the second is used all the same: slow is not never."""
GATHER_PARTS_PER_BURST: Final = 4
"""While calls wait for room, the server is asked this often in one burst: seldom enough to ask for several at once."""


@dataclass(frozen=True, kw_only=True)
class Waiter:
    """One call that is ready to be sent. `asked_at`: when the permission it got was asked for, None: it got none."""

    claim: Claim
    images: int
    tokens: int
    asked_at: asyncio.Future[float | None]


@dataclass(kw_only=True)
class Gate:
    """The calls of one pool that one worker wants to send, in the order in which they became ready."""

    claims: Claims
    pool: Pool
    burst_seconds: float
    health: Health
    waiting: deque[Waiter] = field(default_factory=deque)
    asking: asyncio.Task[None] | None = None
    usual_seconds: float = USUAL_SECONDS_FIRST

    async def passed(self, claim: Claim, images: int, tokens: int) -> bool:
        """Return True when the call may be sent now, False when it must not be sent."""
        for _ in range(ASKS_MAX):
            asked_at = await self._permission(claim, images, tokens)
            if asked_at is None:
                return False
            if self._is_fresh(time.monotonic() - asked_at):
                break
        return True

    def _is_fresh(self, age_seconds: float) -> bool:
        """Return whether a permission of that age may be used, and learn which ages are usual."""
        usual = self.usual_seconds
        self.usual_seconds = max(usual + (min(age_seconds, 2 * usual) - usual) * USUAL_SHARE, USUAL_SECONDS_FIRST)
        return age_seconds <= max(self.burst_seconds * FRESH_BURSTS, usual * FRESH_USUALS)

    async def _permission(self, claim: Claim, images: int, tokens: int) -> float | None:
        asked_at: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        self.waiting.append(Waiter(claim=claim, images=images, tokens=tokens, asked_at=asked_at))
        if self.asking is None:
            self.asking = asyncio.create_task(self._ask_until_empty())
        return await asked_at

    async def _ask_until_empty(self) -> None:
        try:
            while self.waiting:
                wait_seconds = await self._ask()
                if wait_seconds > 0:
                    await asyncio.sleep(max(wait_seconds, self.burst_seconds / GATHER_PARTS_PER_BURST))
        except Exception as error:  # the boundary of this task: the error is each waiting call's
            self._fail(error)
        finally:
            self.asking = None

    async def _ask(self) -> float:
        """Ask for those in front; returns the seconds until the first of those that remain may ask again."""
        front = [self.waiting.popleft() for _ in range(min(len(self.waiting), PERMITS_MAX))]
        asked = [each for each in front if not each.asked_at.done()]  # else its job was stopped while it waited
        now = time.monotonic()
        try:
            wait_us, answers = await self.claims.permit(
                self.pool.name,
                [(each.claim, each.images, each.tokens) for each in asked],
                image_us=unit_us(self.pool.limits.images_per_minute, 1.0),
                token_us=unit_us(self.pool.limits.tokens_per_minute, 1.0),
                burst_us=self.burst_seconds * SENDS_PER_BURST * 1_000_000,
            )
        except QueueUnavailable as error:  # without the server nothing is sent
            self.health.fails("queue", str(error))
            wait_us, answers = 0, (False,) * len(asked)
        except BaseException:
            self.waiting.extendleft(reversed(asked))
            raise
        told = list(zip(asked, answers, strict=True))
        self.waiting.extendleft(each for each, answer in reversed(told) if answer is None)
        for each, answer in told:
            if answer is not None and not each.asked_at.done():
                each.asked_at.set_result(now if answer else None)
        return wait_us / 1_000_000

    def _fail(self, error: Exception) -> None:
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.asked_at.done():
                waiter.asked_at.set_exception(error)


class Gates:
    """One gate for each pool."""

    def __init__(self, *, burst_seconds: float, health: Health) -> None:
        self._burst_seconds = burst_seconds
        self._health = health
        self._gates: dict[str, Gate] = {}

    async def passed(self, claims: Claims, claim: Claim, pool: Pool, images: int, tokens: int) -> bool:
        """Return True when a call of this pool may be sent now, False when it must not be sent.

        `tokens` is the estimate of what the call takes of the token ceiling.
        """
        gate = self._gates.get(pool.name)
        if gate is None or gate.pool is not pool or gate.claims is not claims:  # else a new limit, or a new name
            gate = Gate(claims=claims, pool=pool, burst_seconds=self._burst_seconds, health=self._health)
            self._gates[pool.name] = gate
        return await gate.passed(claim, images, tokens)
