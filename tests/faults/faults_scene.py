"""The scene of a fault: a site at work, something that breaks and heals, and what was seen from outside meanwhile."""

import asyncio
import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "soak"))

from faults_door import DoorSeen, Visitor, visited_door
from soak_check import Findings, findings
from soak_processes import WorkerProcess, wait_until
from soak_site import LedgerKind, Site, running_site

from imagequeue.config.catalog import Catalog, load_catalog
from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.money import format_usd
from imagequeue.queue.connection import connect
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.status_reading import StatusReader
from imagequeue.simulator.latency import Latency

LATENCY: Final = Latency(kind="uniform", seconds=0.02, high_seconds=0.1)
BEFORE: Final = 20
"""Jobs that have ended when a fault begins: the site is at work."""
SETTLING_SECONDS: Final = 1.0
"""What was held in the ledger when the fault began may still be called; after this time nothing may."""
FLOW_SECONDS_MAX: Final = 30.0
REST_SECONDS_MAX: Final = 120.0
LOOK_SECONDS: Final = 0.1
STATUS_SECONDS_MAX: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one fault did. `blind_calls`: calls begun while the part was away; None where calls may go on."""

    fault: str
    seconds: float
    found: Findings
    blind_calls: int | None
    resumed_seconds: float | None
    reasons: tuple[str, ...]
    statuses: tuple[int | None, ...]
    facts: dict[str, object] = field(default_factory=dict)
    door: DoorSeen | None = None

    @property
    def problems(self) -> list[str]:
        """Everything that is not as promised."""
        found = self.found
        problems = list(found.problems)
        if found.lost or found.settled_twice or found.ledger_nano != found.bill_nano:
            problems.append("lost, settled twice, or a ledger that is not the bill")
        if self.blind_calls:
            problems.append(f"{self.blind_calls} calls while blind")
        problems += [f"a worker ended with {code}" for code in self.statuses if code != 0]
        if self.facts.get("left"):
            problems.append(f"{self.facts['left']} jobs were left although the queue could be drained")
        return problems + list(self.door.problems if self.door else ())

    def line(self) -> str:
        """Return the figures in one line."""
        found = self.found
        return (
            f"{self.fault}: {self.seconds:.1f} s; jobs {found.jobs}, lost {found.lost}, settled twice "
            f"{found.settled_twice}, failed {found.failed}, calls {found.calls}, while blind {self.blind_calls}, "
            f"resumed {_seconds(self.resumed_seconds)}, in doubt {found.doubted}, bill {format_usd(found.bill_nano)} "
            f"ledger {format_usd(found.ledger_nano)}, {self.facts or ''} reason: {' | '.join(self.reasons)[:300]}"
            f"{f'; {self.door.line()}' if self.door else ''}"
        )


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"


@dataclass(kw_only=True)
class Scene:
    """A site with workers at work."""

    site: Site
    workers: list[WorkerProcess]
    random: Random
    reasons: dict[str, None] = field(default_factory=dict)

    def enqueue(self, jobs: int, **words: Any) -> list[str]:
        """Put jobs on the queues."""
        return self.site.enqueue(jobs, self.random, **words)

    def wait_for_flow(self) -> None:
        """Return once the site is at work."""
        wait_until("the first jobs ended", FLOW_SECONDS_MAX, lambda: self.site.ended() >= BEFORE)

    def calls_since(self, moment: float) -> list[float]:
        """Return when calls began, from a monotonic moment on: all processes of a machine share that clock."""
        begun = [call["arrived_seconds"] for call in self.site.simulator.control.calls()]
        return sorted(at for at in begun if at >= moment)

    def look(self) -> None:
        """Note what `imagequeue status` would give as reasons at this moment."""
        self.reasons.update(dict.fromkeys(reasons(self.site)))

    def watch(self, seconds: float) -> None:
        """Let time pass, and look."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look()
            time.sleep(LOOK_SECONDS)

    def until_rest(self) -> None:
        """Return when every job has ended."""
        wait_until("all jobs ended", REST_SECONDS_MAX, lambda: self.site.ended() >= len(self.site.acked))

    def end(self) -> tuple[int | None, ...]:
        """Ask all workers to end; return their exit statuses."""
        return tuple(worker.end() for worker in self.workers)


def reasons(site: Site) -> list[str]:
    """Return every reason in the status for work that does not go on."""
    try:
        return asyncio.run(_reasons(site))
    except (QueueUnavailable, TimeoutError) as error:
        return [f"status: {str(error) or 'the Redis server gives no answer'}"]


@functools.cache
def _catalog() -> Catalog:
    return load_catalog()


async def _reasons(site: Site) -> list[str]:
    client = connect(f"redis://127.0.0.1:{site.port}/0", answer_seconds=STATUS_SECONDS_MAX)
    try:
        reader = StatusReader(Scripts(client, site.keys), site.settings, _catalog())
        async with asyncio.timeout(4 * STATUS_SECONDS_MAX):
            status = await reader.read()
    finally:
        await client.aclose()
    notes = [f"server: {status.server}"] if status.server else []
    notes += [f"worker: {worker.note}" for worker in status.workers if worker.note]
    notes += [f"pool: {pool.suspended or pool.pause_reason}" for pool in status.pools if pool.suspended]
    notes += [f"pool: {pool.pause_reason}" for pool in status.pools if pool.paused_until]
    notes += [f"calls: {pool.trouble}" for pool in status.pools if pool.trouble]
    return notes + [f"tenant: {hold.detail}" for hold in status.held_tenants]


@contextmanager
def scene(
    *,
    ledger: LedgerKind = "sqlite",
    kind: str = "valkey",
    workers: int = 2,
    seed: int = 1,
    latency: Latency = LATENCY,
    **variables: str,
) -> Iterator[Scene]:
    """Start a site and its workers; whatever happens, the workers are gone after the block."""
    with running_site(kind=kind, ledger=ledger, seed=seed, latency=latency, **variables) as site:
        started = Scene(
            site=site,
            workers=[site.nursery.start() for _ in range(workers)],
            random=Random(seed),  # noqa: S311  # dice
        )
        try:
            yield started
        finally:
            for worker in started.workers:
                worker.wake()
                worker.process.kill()
                worker.process.join()


Fault = Callable[[Scene], AbstractContextManager[None]]


def under(
    fault: Fault,
    name: str,
    *,
    seconds: float,
    jobs: int,
    blind: bool,
    door: bool = False,
    drains: bool = False,
    **how: Any,
) -> Seen:
    """Let a site work, break something for so long, heal it, let everything come to rest, and compare the books.

    `door`: jobs are also sent to an HTTP door all the while. `drains`: all that was queued must end while it is broken.
    """
    with scene(**how) as stage, _door_of(stage.site, wanted=door) as visitor:
        stage.enqueue(jobs)
        stage.wait_for_flow()
        with fault(stage):
            begun = time.monotonic()
            if visitor is not None:
                visitor.start()
            stage.watch(seconds)
            ended = time.monotonic()
            facts: dict[str, object] = {"left": jobs - stage.site.ended()} if drains else {}
            if visitor is not None:
                visitor.stop()
        healed = time.monotonic()
        calls = stage.calls_since(begun + SETTLING_SECONDS)
        at_the_door = None if visitor is None else visitor.settle(begun, ended, closed=blind or drains)
        stage.until_rest()
        after = stage.calls_since(healed)
        statuses = stage.end()
        return Seen(
            fault=name,
            seconds=ended - begun,
            found=asyncio.run(findings(stage.site)),
            blind_calls=sum(at < ended for at in calls) if blind else None,
            resumed_seconds=after[0] - healed if after and blind else None,
            reasons=tuple(stage.reasons),
            statuses=statuses,
            facts=facts,
            door=at_the_door,
        )


@contextmanager
def _door_of(site: Site, *, wanted: bool) -> Iterator[Visitor | None]:
    if not wanted:
        yield None
        return
    with visited_door(site) as visitor:
        yield visitor
