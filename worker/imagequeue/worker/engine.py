"""The engine: pulls jobs at the pools' pace and lives their lives, thousands at once, in one event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from imagequeue.config.errors import QueueUnavailable
from imagequeue.queue.claims import Claim, ClaimAnswer, Claims, WorkerGone
from imagequeue.worker.board import Board
from imagequeue.worker.crashpoint import crashpoint
from imagequeue.worker.health import Health
from imagequeue.worker.identity import Identity
from imagequeue.worker.life import JobLife
from imagequeue.worker.watching import Watch

CLAIM_BATCH_MAX = 64
POLL_SECONDS = 0.05
"""Longest sleep between looks while jobs wait, and while idle when the server cannot hint at changes."""
IDLE_POLL_SECONDS = 0.5
"""Sleep of an idle worker between looks; the server's hint that a queue changed wakes it at once."""
PACE_SLEEP_SECONDS_MIN = 0.005
TROUBLE_SECONDS = 0.5
GIVE_BACK_SECONDS_MAX = 10.0

log = structlog.get_logger("imagequeue.worker")


@dataclass(frozen=True, kw_only=True)
class EngineLimits:
    """Bounds of one engine. `pace_sleep_seconds` is how long starts may be gathered: a part of the pools' burst."""

    max_in_flight: int
    drain_seconds: float
    pace_sleep_seconds: float
    burst: bool = False


@dataclass(kw_only=True)
class Flight:
    """The claims being worked on: job id -> its task.

    After a lost lease a job may come back to the same process while its earlier delivery is still being lived here;
    such a task is `overtaken`: still to be waited for, or it would meet a closed ledger at the end.
    """

    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    overtaken: set[asyncio.Task[None]] = field(default_factory=set)
    landed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, job_id: str, task: asyncio.Task[None]) -> None:
        """Note a task; it removes itself when done."""
        earlier = self.tasks.get(job_id)
        if earlier is not None:
            self.overtaken.add(earlier)
        self.tasks[job_id] = task
        task.add_done_callback(lambda done: self._land(job_id, done))

    def leave(self, job_id: str) -> None:
        """The present task gives a job up without having ended its claim; whoever asks for claims finds it again."""
        if self.tasks.get(job_id) is asyncio.current_task():
            del self.tasks[job_id]

    def all(self) -> list[asyncio.Task[None]]:
        """Return every task that is not done."""
        return [*self.tasks.values(), *self.overtaken]

    def _land(self, job_id: str, task: asyncio.Task[None]) -> None:
        self.overtaken.discard(task)
        if self.tasks.get(job_id) is task:
            del self.tasks[job_id]
        self.landed.set()


class Engine:
    """One worker's pulling and running; `run` returns when it was told to stop, or in burst mode when all is done."""

    def __init__(
        self,
        *,
        life: JobLife,
        board: Board,
        health: Health,
        limits: EngineLimits,
        identity: Identity,
        watch: Watch,
        take_in: Callable[[str], Awaitable[int]],
        pending: Callable[[], Awaitable[int]],
        hinted: Callable[[], bool],
    ) -> None:
        self._life = life
        self._board = board
        self._health = health
        self._limits = limits
        self._identity = identity
        self._watch = watch
        self._take_in = take_in
        self._pending = pending
        self._hinted = hinted
        self._unsure = False
        self._idle = False
        self._was_over = False
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()
        self._wake = asyncio.Event()
        self.flight = Flight()

    def stop(self) -> None:
        """Claim nothing more; a second call also gives back the calls in flight at once."""
        if self._stopping.is_set():
            self._at_once.set()
        self._stopping.set()
        self.wake()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to claim nothing more."""
        return self._stopping.is_set()

    def wake(self) -> None:
        """Look at the queues now."""
        self._wake.set()

    def hint(self) -> None:
        """Somebody changed a queue: look now if there was nothing to do, for others also change them by claiming."""
        if self._idle:
            self._wake.set()

    def gone(self) -> None:
        """This worker was given up for dead: its claims are others' now. Calls in flight go on; a new name pulls."""
        log.warning("the lease ran out; going on under a new name", worker=self._identity.claims.worker)
        self._unsure = True
        self.wake()

    async def run(self) -> None:
        """Pull until told to stop, then drain."""
        try:
            while not self._stopping.is_set():
                if await self._step():
                    break
        finally:
            await self._drain()

    async def _step(self) -> bool:
        """Claim once, start what was given, sleep as long as the answer says. True when a burst is over."""
        if self._health.sick:
            await self._sleep(TROUBLE_SECONDS)
            return False
        room = self._limits.max_in_flight - len(self.flight.tasks)
        if room <= 0:
            await self._until_landed()
            return False
        try:
            return await self._pull(min(room, CLAIM_BATCH_MAX))
        except WorkerGone:  # twice in a row: the process stood still for a lease before its new name claimed
            self._unsure = True
        except QueueUnavailable as error:
            self._unsure = True
            self._health.fails("queue", str(error))
        except Exception as error:  # also what nobody foresaw: the calls in flight must land, and work goes on
            log.exception("a step broke off")
            self._unsure = True
            self._health.fails("queue", f"{type(error).__name__}: {error}")
        return False

    async def _pull(self, most: int) -> bool:
        answer = await self._claim(most)
        taken_in = [await self._take_in(queue) for queue in answer.foreign]
        if len(answer.claims) >= most or any(taken_in):
            return False
        if self._limits.burst and await self._is_over(answer):
            return True
        await self._sleep(self._pause_seconds(answer))
        return False

    async def _claim(self, most: int) -> ClaimAnswer:
        if self._unsure:
            await self._resume()
        try:
            answer = await self._ask(most)
        except WorkerGone:
            await self._identity.born(self._board.queues)
            answer = await self._ask(most)
        crashpoint("claim.after")
        self._start(answer.claims)
        return answer

    async def _ask(self, most: int) -> ClaimAnswer:
        with self._watch.claiming():
            return await self._identity.claims.claim(self._board.encoded, most)

    async def _resume(self) -> None:
        """After trouble: a claim's reply may have been lost, so ask which jobs are ours beyond those we know."""
        claims = self._identity.claims
        self._start(await claims.held(self.flight.tasks))
        self._unsure = False

    def _start(self, given: Sequence[Claim]) -> None:
        claims = self._identity.claims
        for claim in given:
            self.flight.add(claim.id, asyncio.create_task(self._live(claims, claim)))

    async def _live(self, claims: Claims, claim: Claim) -> None:
        """One job's life; what nobody foresaw is logged, and the job goes back.

        When not even that works, the claim stands with nobody at work on it: it is asked for and lived again.
        """
        try:
            await self._life.run(claims, claim)
        except asyncio.CancelledError:
            pass
        except Exception:
            log.exception("a job's life broke off", job=claim.id)
            try:
                await self._life.broke_off(claims, claim)
            except Exception:
                log.exception("a job could not be given back", job=claim.id)
                await asyncio.sleep(TROUBLE_SECONDS)
                self.flight.leave(claim.id)
                self._unsure = True

    async def _is_over(self, answer: ClaimAnswer) -> bool:
        """Two looks in a row found nothing to claim, and nothing claimed or delayed in between.

        One is not enough: what a reaper or a delay puts back in line after the claim is neither claimed nor delayed.
        """
        if answer.claims or answer.wait_us is not None or answer.suspended or self.flight.tasks:
            self._was_over = False
            return False
        was_over, self._was_over = self._was_over, await self._pending() == 0
        return was_over and self._was_over

    def _pause_seconds(self, answer: ClaimAnswer) -> float:
        self._idle = answer.wait_us is None
        if answer.wait_us is None:
            return IDLE_POLL_SECONDS if self._hinted() else POLL_SECONDS
        wait_seconds = max(answer.wait_us / 1_000_000, self._limits.pace_sleep_seconds, PACE_SLEEP_SECONDS_MIN)
        return min(wait_seconds, POLL_SECONDS)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless something is to be looked at: then at once."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _until_landed(self) -> None:
        self.flight.landed.clear()
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self.flight.landed.wait()
        except TimeoutError:
            pass

    async def _drain(self) -> None:
        """Wait for the calls in flight until the deadline, or a second stop; then give the rest back."""
        left = self.flight.all()
        if left:
            log.info("draining", in_flight=len(left), seconds=self._limits.drain_seconds)
            hurry: asyncio.Task[object] = asyncio.create_task(self._at_once.wait())
            landing: asyncio.Task[object] = asyncio.create_task(_land(left))
            seconds = self._limits.drain_seconds
            await asyncio.wait({hurry, landing}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
            landing.cancel()
        await self._give_back()

    async def _give_back(self) -> None:
        left = self.flight.all()
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=GIVE_BACK_SECONDS_MAX)


async def _land(tasks: Sequence[asyncio.Task[None]]) -> object:
    return await asyncio.wait(tasks)
