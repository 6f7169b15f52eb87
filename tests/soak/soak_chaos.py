"""Killing, stopping and pausing workers at random, and how soon what they held was taken up again."""

import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final

from soak_log import EventLog
from soak_processes import WorkerProcess
from soak_site import LEASE_SECONDS, Site

ACTS: Final = {"kill": 0.7, "stop": 0.1, "pause": 0.2}
PAUSE_SECONDS: Final = (0.2, LEASE_SECONDS * 1.8)
CALM_SECONDS: Final = (0.1, 0.4)
LOOK_SECONDS: Final = 0.05
UNSEEN_SECONDS_MAX: Final = 0.5
AUDITED: Final = 200


@dataclass(kw_only=True)
class Orphan:
    """A job that a worker held when it was killed."""

    worker: int
    queue: str
    delivery: int
    since: float
    returned_at: float | None = None


@dataclass(kw_only=True)
class Recovery:
    """When the jobs of killed workers were back in line, and when another worker took them up (or they had ended).

    The first is the engine's doing: lease and reaper. The second also depends on what stands before the job in line:
    a `low` one waits for the `high` ones that are queued, so only those of `high` show how soon the engine takes up.
    """

    log: EventLog
    waiting: dict[str, Orphan] = field(default_factory=dict)
    returned_seconds: list[float] = field(default_factory=list)
    taken_seconds: list[float] = field(default_factory=list)
    taken_high_seconds: list[float] = field(default_factory=list)
    unseen_seconds: float = 0.0
    unseen: int = 0
    _looked_at: float = field(default_factory=time.monotonic)

    def killed(self, site: Site, pid: int) -> None:
        """Note what a process held when it was killed."""
        now = time.monotonic()
        for worker in site.redis.zrange(f"{site.keys.own}:workers", 0, -1):
            if f"-{pid}-" in worker.decode():
                claims = site.redis.hgetall(f"{site.keys.own}:claims:{worker.decode()}")
                for name, claim in claims.items():
                    delivery, _, queue = claim.decode().partition(" ")
                    orphan = Orphan(worker=pid, queue=queue, delivery=int(delivery), since=now)
                    self.waiting[name.decode()] = orphan

    def look(self, site: Site) -> None:
        """Note which of them are back in line, and which have been taken up or have ended, since."""
        names = list(self.waiting)
        with site.redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hmget(site.keys.job(name), "iq_deliveries", "status")
            rows = pipe.execute()
        late = time.monotonic() - self._looked_at > UNSEEN_SECONDS_MAX
        now = self._seen_at()
        for name, (delivery, status) in zip(names, rows, strict=True):
            orphan = self.waiting[name]
            taken = int(delivery) > orphan.delivery or status not in (b"started", b"queued")
            if orphan.returned_at is None and (taken or status == b"queued"):
                orphan.returned_at = now
                self.unseen += late
                self.returned_seconds.append(now - orphan.since)
            if taken:
                self._taken(name, orphan, now)

    def _seen_at(self) -> float:
        """Return when what is seen now happened, at the latest: not in a time in which nobody looked.

        On a busy machine the harness itself may be held up for seconds; that is no delay of what it watches.
        """
        now, before = time.monotonic(), self._looked_at
        self._looked_at = now
        self.unseen_seconds = max(self.unseen_seconds, now - before)
        return min(now, before + UNSEEN_SECONDS_MAX)

    def _taken(self, name: str, orphan: Orphan, now: float) -> None:
        del self.waiting[name]
        taken, returned = now - orphan.since, (orphan.returned_at or now) - orphan.since
        self.taken_seconds.append(taken)
        if orphan.queue.endswith(".high"):
            self.taken_high_seconds.append(taken)
        self.log.note(
            "taken up",
            job=name,
            queue=orphan.queue,
            of=orphan.worker,
            returned=round(returned, 3),
            taken=round(taken, 3),
        )


@dataclass(kw_only=True)
class Chaos:
    """Some workers, and what is done to them."""

    site: Site
    random: Random
    workers: list[WorkerProcess]
    log: EventLog
    recovery: Recovery = field(init=False)
    done: Counter[str] = field(default_factory=Counter)
    misplaced: set[str] = field(default_factory=set)
    audits: int = 0
    unasked: list[str] = field(default_factory=list)
    _wake_at: dict[int, float] = field(default_factory=dict)
    _leaving: list[WorkerProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recovery = Recovery(log=self.log)

    def strike(self) -> None:
        """Do something bad to one worker; at least one other is left in peace."""
        at_peace = self._at_work()
        if len(at_peace) < 2:
            return
        number = self.random.choice(at_peace)
        act = self.random.choices(list(ACTS), weights=list(ACTS.values()))[0]
        self.done[act] += 1
        worker = self.workers[number]
        if act == "pause":
            seconds = self.random.uniform(*PAUSE_SECONDS)
            self.log.note("pause", worker=worker.pid, seconds=round(seconds, 3))
            worker.pause()
            self._wake_at[number] = time.monotonic() + seconds
            return
        if act == "kill":
            worker.signal(signal.SIGKILL)
            worker.process.join()
            self.recovery.killed(self.site, worker.pid)
        else:
            worker.signal(signal.SIGTERM)
            self._leaving.append(worker)
        self.workers[number] = self.site.nursery.start()
        self.log.note(act, worker=worker.pid, log=worker.log, successor=self.workers[number].pid)

    def _at_work(self) -> list[int]:
        """Return which workers are registered and not paused: striking one that only starts proves nothing."""
        names = [name.decode() for name in self.site.redis.zrange(f"{self.site.keys.own}:workers", 0, -1)]
        at_work = enumerate(self.workers)
        return [
            number
            for number, worker in at_work
            if not worker.paused and any(f"-{worker.pid}-" in name for name in names)
        ]

    @property
    def all_at_work(self) -> bool:
        """Whether every worker is registered and none is paused."""
        return len(self._at_work()) == len(self.workers)

    def calm(self) -> None:
        """Let some time pass, and look at what happens in it."""
        until = time.monotonic() + self.random.uniform(*CALM_SECONDS)
        while time.monotonic() < until:
            self.look()
            time.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Wake who has been paused long enough; see what was taken up; see that every job has one place."""
        now = time.monotonic()
        for number, at in list(self._wake_at.items()):
            if at <= now:
                self.workers[number].wake()
                del self._wake_at[number]
        self._replace_the_ended()
        self.recovery.look(self.site)
        acked = self.site.acked
        sample = acked if len(acked) <= AUDITED else self.random.sample(acked, AUDITED)
        if sample:
            astray = self.site.misplaced(sample)
            for name in astray:
                self.log.note("misplaced", job=name)
            self.misplaced.update(astray)
            self.audits += 1

    def _replace_the_ended(self) -> None:
        """A worker that ended although nobody asked it to is a fault of its own; another takes its place."""
        for number, worker in enumerate(self.workers):
            if not worker.alive:
                self.unasked.append(
                    f"worker {worker.pid} ended by itself: {worker.process.exitcode}, {worker.last_words}"
                )
                self.log.note("ended by itself", worker=worker.pid, log=worker.log, text=self.unasked[-1])
                self.workers[number] = self.site.nursery.start()

    def heal(self) -> None:
        """Nobody is paused any more, nothing goes wrong at the provider."""
        for number in list(self._wake_at):
            self.workers[number].wake()
            del self._wake_at[number]
        self.site.simulator.control.set_faults()

    def end(self) -> list[int | None]:
        """Ask all workers to end; returns their exit statuses, and those of the workers asked before."""
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        return [worker.join() for worker in (*self.workers, *self._leaving)]
