"""Every fault by its name: what is broken, for how long, and what is expected meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import faults_engine
import faults_ledger
import faults_mount
import faults_redis
from faults_scene import Fault, Scene, Seen, under
from soak_processes import server_binary

from imagequeue.ledger.database import BUSY_SECONDS_MAX

JOBS_PER_SECOND: Final = 120
"""More than a site does: there is always something to call while the fault lasts."""
SMALL_DISK: Final = "24m"
DISK_FULL_JOBS: Final = 400
LOCKED_SECONDS: Final = BUSY_SECONDS_MAX + 5.0
STALL_SECONDS: Final = 6.0
"""A commit that waits is told after 1.5 s, and a worker's board is read by others 2 s later."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fault. `run(seconds)` breaks and heals; `says` is a part of the reason that the status must have shown.

    `apart`: needs file systems of its own, so it runs in a process of its own. `needs`: why it cannot run here, or ''.
    """

    name: str
    run: Callable[[float], Seen]
    says: str = ""
    apart: bool = False
    needs: Callable[[], str] = str


def _case(name: str, fault: Fault, *, says: str = "", blind: bool = True, seconds_min: float = 0.0, **how: Any) -> Case:
    def run(seconds: float) -> Seen:
        seconds = max(seconds, seconds_min)
        jobs = int(seconds * JOBS_PER_SECOND) if blind else 150
        return under(fault, name, seconds=seconds, jobs=jobs, blind=blind, **how)

    needs = _no_redis if how.get("kind") == "redis" else str
    return Case(name=name, run=run, says=says, needs=needs)


def _no_redis() -> str:
    try:
        server_binary("redis")
    except FileNotFoundError as error:
        return str(error)
    return ""


def _no_clock() -> str:
    return "" if faults_engine.faketime() else "libfaketime is not installed (on Debian: apt-get install faketime)"


def ledger_disk_full(seconds: float) -> Seen:
    """Nothing more can be written to the file system of the SQLite ledger."""

    def fault(stage: Scene) -> Any:
        return faults_ledger.disk_full(faults_ledger.sqlite_path(stage).parent)

    return under(
        fault,
        "ledger's disk full (SQLite)",
        seconds=seconds,
        jobs=int(seconds * JOBS_PER_SECOND),
        blind=True,
        **_small_disk("ledger", "IMAGEQUEUE_LEDGER_URL", "sqlite:///{}/ledger.sqlite3"),
    )


def image_disk_full(seconds: float) -> Seen:
    """Nothing more can be written to the file system of the images."""
    how = _small_disk("images", "IMAGEQUEUE_STORE_URL", "file://{}")
    folder = Path(how["IMAGEQUEUE_STORE_URL"].removeprefix("file://"))

    def fault(_stage: Scene) -> Any:
        return faults_ledger.disk_full(folder)

    return under(fault, "images' disk full", seconds=seconds, jobs=int(seconds * JOBS_PER_SECOND), blind=True, **how)


def _small_disk(name: str, variable: str, url: str) -> dict[str, str]:
    folder = Path("/tmp", f"imagequeue-{name}-disk")  # noqa: S108  # seen by this mount namespace alone
    faults_mount.mount(folder, SMALL_DISK)
    return {variable: url.format(folder)}


CASES: Final = (
    _case("redis killed, restarted on its append-only file", faults_redis.restarted, says="cannot be used", door=True),
    _case("redis killed, restarted (Redis 7)", faults_redis.restarted, says="cannot be used", kind="redis", door=True),
    _case("redis at maxmemory", faults_redis.full, says="memory limit", blind=False, drains=True, door=True),
    _case("redis read-only", faults_redis.read_only, says="replica", door=True),
    _case("redis busy with a script", faults_redis.busy, says="busy", door=True),
    _case("redis loading its file", faults_redis.loading, says="cannot be used", blind=False, kind="redis", door=True),
    _case("redis frozen (black hole)", faults_redis.frozen, says="cannot be used", door=True),
    _case("PostgreSQL stopped at once, started again", faults_ledger.crashed, says="ledger", ledger="postgresql"),
    _case(
        "PostgreSQL out of connections",
        faults_ledger.out_of_connections,
        says="too many",
        ledger="postgresql",
    ),
    _case("SQLite locked by another process", faults_ledger.locked, says="locked", seconds_min=STALL_SECONDS),
    _case(
        "SQLite locked for longer than it is waited for",
        faults_ledger.locked,
        says="locked",
        seconds_min=LOCKED_SECONDS,
    ),
    Case(name="ledger's disk full (SQLite)", run=ledger_disk_full, says="full", apart=True, needs=faults_mount.why_not),
    Case(name="images' disk full", run=image_disk_full, says="store", apart=True, needs=faults_mount.why_not),
    Case(name="event loop blocked", run=lambda seconds: faults_engine.loop_blocked(seconds, 80)),
    Case(name="worker frozen past its lease", run=lambda seconds: faults_engine.frozen_worker(seconds, 80)),
    Case(name="poison job", run=lambda _seconds: faults_engine.poison(11), says="too many workers died"),
    Case(
        name="clock of the workers ±1 h",
        run=lambda seconds: faults_engine.worker_clock(seconds, 400),
        needs=_no_clock,
    ),
    Case(name="clock of Redis ±1 h", run=lambda seconds: faults_engine.server_clock(seconds, 200), needs=_no_clock),
)


def case(name: str) -> Case:
    """Return the case of a name; KeyError when there is none."""
    return {one.name: one for one in CASES}[name]


def verdict(case: Case, seen: Seen) -> list[str]:
    """Return everything that is not as expected, '' reasons included."""
    problems = seen.problems
    if case.says and not any(case.says.lower() in reason.lower() for reason in seen.reasons):
        problems.append(f"the status never said {case.says!r}: {seen.reasons}")
    if seen.facts.get("false_rescues"):
        problems.append(f"{seen.facts['false_rescues']} jobs were taken from workers that lived")
    if len(seen.facts.get("dead_lettered", ())) > 1:
        problems.append(f"jobs beside the poison were given up: {seen.facts['dead_lettered']}")
    return problems
