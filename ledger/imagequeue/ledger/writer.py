"""The writing thread: gathers what many tasks ask for, commits it together, then answers all of them.

A commit waits for the disk, so one for many operations is what makes thousands a second possible. A task is answered
only after the commit.
"""

import asyncio
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar, cast

from imagequeue.config.errors import LedgerUnavailable
from imagequeue.ledger.allowance import Allowance
from imagequeue.ledger.api import Ending, Held
from imagequeue.ledger.apply import Batch
from imagequeue.ledger.committer import Committer
from imagequeue.ledger.operations import Operation, Void

BATCH_MAX: Final = 256
ENOUGH: Final = 64  # operations that are worth a commit of their own: no use in gathering more
WAITING_MAX: Final = 8_192  # beyond it, asking waits: a slow database slows the workers down and fills no memory
COMMITS_PER_SECOND: Final = 7.0  # under steady load: a commit costs a millisecond of CPU, waiting costs nothing
ANSWER_SECONDS_MAX: Final = 120.0
LOOK_SECONDS: Final = 5.0  # between two looks for what has waited so long
NO_ANSWER: Final = f"ledger: no answer in {ANSWER_SECONDS_MAX:.0f} s"
CLOSE_SECONDS_MAX: Final = 60.0
COMMITS_REMEMBERED_MAX: Final = 1_000  # durations that nobody asks for are forgotten, the oldest first

Answer = TypeVar("Answer")


class Waiting(NamedTuple):
    """An operation, and who waits for its answer."""

    operation: Operation[object]
    answer: asyncio.Future[object]


class Writer:
    """Hands operations of one event loop to a thread of its own. `start` first, `close` at the end.

    What nobody has answered is kept with the moment it was asked at, the oldest first. One look at it now and then is
    what a deadline of its own for each operation would be, at none of the cost.
    """

    def __init__(self, committer: Committer, commits_per_second: float) -> None:
        self._committer = committer
        self._waiting: deque[Waiting] = deque()
        self._wake = threading.Event()
        self._full = threading.Event()  # ENOUGH wait, or the end
        self._closing = False
        self._committing_since: float | None = None
        self._commit_seconds: deque[float] = deque(maxlen=COMMITS_REMEMBERED_MAX)
        self._allowance = Allowance(commits_per_second, time.monotonic())
        self._asked: dict[asyncio.Future[object], float] = {}
        self._look: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="imagequeue-ledger", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def stalled_seconds(self) -> float:
        """How long the commit has lasted that is under way; 0 when there is none."""
        since = self._committing_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def backlog(self) -> int:
        """How many operations wait for a commit."""
        return len(self._waiting)

    def commit_seconds(self) -> list[float]:
        """Return how long the commits took since this was last asked."""
        return [self._commit_seconds.popleft() for _ in range(len(self._commit_seconds))]

    @property
    def alive(self) -> bool:
        """Whether operations are taken."""
        return self._thread.is_alive() and not self._closing

    async def submit(self, operation: Operation[Answer]) -> Answer:
        """Return the operation's answer after the commit. Waits while WAITING_MAX others wait.

        LedgerUnavailable when there is none in ANSWER_SECONDS_MAX, or LOOK_SECONDS later.
        """
        if not self.alive:
            raise LedgerUnavailable("ledger: closed")
        asked = self._loop.time()
        if len(self._asked) >= WAITING_MAX:
            await self._room(asked + ANSWER_SECONDS_MAX)
        answer: asyncio.Future[object] = self._loop.create_future()
        self._asked[answer] = asked
        self._put(Waiting(cast("Operation[object]", operation), answer))
        if self._look is None:
            self._look = self._loop.call_later(LOOK_SECONDS, self._give_up)
        try:
            return cast("Answer", await answer)
        finally:
            del self._asked[answer]

    async def _room(self, until: float) -> None:
        """Return when fewer than WAITING_MAX wait and operations are taken."""
        while len(self._asked) >= WAITING_MAX:
            if self._loop.time() >= until:
                raise LedgerUnavailable(NO_ANSWER)
            await asyncio.wait([next(iter(self._asked))], timeout=until - self._loop.time())
        if not self.alive:
            raise LedgerUnavailable("ledger: closed")

    def _give_up(self) -> None:
        """End the wait of those who have waited too long; their operations are left out, or undone as unheard."""
        before = self._loop.time() - ANSWER_SECONDS_MAX
        for answer, asked in self._asked.items():
            if asked <= before and not answer.done():
                answer.set_exception(LedgerUnavailable(NO_ANSWER))
        self._look = self._loop.call_later(LOOK_SECONDS, self._give_up) if self._asked else None

    async def close(self) -> None:
        """Commit what was asked for, then end the thread."""
        self._closing = True
        self._wake.set()
        self._full.set()
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS_MAX)
        if self._look is not None:
            self._look.cancel()

    def _put(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        if not self._wake.is_set():
            self._wake.set()
        if len(self._waiting) >= ENOUGH:
            self._full.set()

    def _run(self) -> None:
        while not self._closing or self._waiting:  # ends: once closing, nothing is added
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._gather()
                self._commit(self._take())
        self._committer.close()

    def _gather(self) -> None:
        """Wait for more to commit together, when many are coming."""
        wait_seconds = self._allowance.wait_seconds(time.monotonic())
        if wait_seconds > 0 and len(self._waiting) < ENOUGH and not self._closing:
            self._full.wait(wait_seconds)
        self._full.clear()

    def _take(self) -> list[Waiting]:
        """Return the next batch in order of arrival; of two with one subject, the second waits for the next batch."""
        batch: dict[object, Waiting] = {}
        later: list[Waiting] = []
        while self._waiting and len(batch) < BATCH_MAX and len(later) < BATCH_MAX:
            waiting = self._waiting.popleft()
            if waiting.answer.done():
                continue  # nobody waits any more, and nothing was done
            if waiting.operation.subject in batch:
                later.append(waiting)
            else:
                batch[waiting.operation.subject] = waiting
        self._waiting.extendleft(reversed(later))
        return list(batch.values())

    def _commit(self, batch: list[Waiting]) -> None:
        operations: Batch = [waiting.operation for waiting in batch]
        began = self._committing_since = time.monotonic()
        self._allowance.spend(len(operations), began)
        answers = self._committer.commit(operations) if operations else []
        self._committing_since = None
        self._commit_seconds.append(time.monotonic() - began)
        try:
            self._loop.call_soon_threadsafe(self._answer, batch, answers)
        except RuntimeError:  # the loop is closed: nobody is left to tell, and it is committed
            self._closing = True

    def _answer(self, batch: list[Waiting], answers: list[object]) -> None:
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():
                self._release_unheard(answer)
            elif isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)

    def _release_unheard(self, answer: object) -> None:
        """Void a hold whose caller left before it heard of it: its call was certainly never made."""
        if isinstance(answer, Held) and answer.delivery == "now" and self.alive:
            ending = Ending(ended_at=datetime.now(UTC), error_code="cancelled", error_message="never called")
            void = Void(attempt_id=answer.attempt_id, ending=ending, outcome=None)
            self._put(Waiting(void, self._loop.create_future()))
