"""Runs the demonstration from the first job to the account, and shows how it goes."""

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live
from sqlalchemy import Connection, func, select

from imagequeue.config.clock import SystemClock
from imagequeue.config.errors import ImageQueueError
from imagequeue.config.job import PRIORITIES
from imagequeue.config.settings import Settings
from imagequeue.ledger.schema import attempt
from imagequeue.producer.admission import Admission
from imagequeue.producer.commands.output import print_line
from imagequeue.producer.demo.account import Account, account
from imagequeue.producer.demo.children import child, tail
from imagequeue.producer.demo.doubts import Settled, settle_doubts
from imagequeue.producer.demo.jobs import demo_jobs
from imagequeue.producer.demo.picture import Frame, PriorityFrame, drawn, line
from imagequeue.producer.demo.provider import Provider
from imagequeue.producer.open_queue import OpenQueue
from imagequeue.queue.entries import Entry, enqueue
from imagequeue.queue.status import Status
from imagequeue.store.store import open_store

WORKER_LOG: Final = "worker.log"
FRAME_SECONDS: Final = 0.25
LINE_SECONDS: Final = 2.0
LATE_JOBS: Final = 200
"""The provider begins to misbehave when so many jobs are still queued: more than start between two looks."""
SECONDS_MAX: Final = 60.0
PACE_SECONDS_MIN: Final = 2.0
"""A shorter run says nothing about the pace: a pool may run ahead for a tenth of a second."""
JOBS_PER_SECOND_MIN: Final = 20.0
"""A run that takes longer than SECONDS_MAX and the time of this rate is given up."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a run went. `pace` is images per second before anything was provoked, None when that was too short a time."""

    account: Account
    doubts: Settled
    seconds: float
    pace: float | None
    ceiling: float
    refused: int
    provoked: int


@dataclass(kw_only=True)
class _Steady:
    """The pace before the faults."""

    pace: float | None = None
    reached: bool = False


async def run(
    queue: OpenQueue, provider: Provider, count: int, environ: Mapping[str, str], folder: Path, *, quiet: bool
) -> Ran:
    """Queue the jobs, let a worker do them, and draw up the account; `quiet` shows nothing meanwhile."""
    entries = _entries(queue, count)
    settings = queue.settings
    await enqueue(
        queue.scripts,
        entries,
        result_ttl_seconds=settings.result_ttl_seconds,
        timeout_seconds=int(settings.call_timeout_seconds),
    )
    started = time.time()
    steady = _Steady()
    async with child(("worker", "--burst"), environ=environ, folder=folder, log=WORKER_LOG) as worker:
        await _watch(queue, provider, worker, entries, steady, folder, quiet=quiet)
    seconds = time.time() - started
    doubts = await _settle_doubts(queue, provider, [entry.id for entry in entries])
    stats = await provider.stats()
    return Ran(
        account=await _account(queue, provider, [entry.id for entry in entries], started),
        doubts=doubts,
        seconds=seconds,
        pace=steady.pace,
        ceiling=_ceiling(await queue.status().read()),
        refused=stats["rate_limited"],
        provoked=await provider.provoked_refusals(),
    )


def _entries(queue: OpenQueue, count: int) -> list[Entry]:
    admission = Admission(queue.settings, queue.catalog, lambda: SystemClock().now().date())
    return [admission.entry(job) for job in demo_jobs(count)]


async def _watch(
    queue: OpenQueue,
    provider: Provider,
    worker: Process,
    entries: Sequence[Entry],
    steady: _Steady,
    folder: Path,
    *,
    quiet: bool,
) -> None:
    """Show how it goes until the worker has nothing left; near the end the provider is told to misbehave."""
    begun = time.monotonic()
    reader = queue.status()
    totals = {name: sum(entry.job.priority == name for entry in entries) for name in PRIORITIES}
    with _Screen(quiet=quiet) as screen:
        while worker.returncode is None:
            status, stats = await reader.read(), await provider.stats()
            seconds = time.monotonic() - begun
            if seconds > SECONDS_MAX + len(entries) / JOBS_PER_SECOND_MIN:
                raise ImageQueueError(f"the demonstration takes too long; the worker says: {tail(folder / WORKER_LOG)}")
            if not steady.reached and status.totals.queued <= LATE_JOBS:
                steady.reached, steady.pace = True, _pace(stats)
                await provider.misbehave()
            cost = await (await queue.ledger()).read(_costs)
            screen.show(_frame(seconds, totals, status, stats, cost, provoked=steady.reached))
            await asyncio.sleep(FRAME_SECONDS)
    if worker.returncode != 0:
        raise ImageQueueError(f"the worker ended with code {worker.returncode}: {tail(folder / WORKER_LOG)}")


def _frame(
    seconds: float,
    totals: Mapping[str, int],
    status: Status,
    stats: Mapping[str, object],
    cost: tuple[int, int],
    *,
    provoked: bool,
) -> Frame:
    pool = next((pool for pool in status.pools if pool.images_started), status.pools[0])
    note = "provoking refusals, a 500 that was charged, and broken connections" if provoked else ""
    if pool.paused_until:
        note = f"paused: {pool.pause_reason}"
    starts = stats["images_per_second"]
    return Frame(
        seconds=seconds,
        priorities=tuple(_priority(name, totals[name], status) for name in PRIORITIES),
        starts=tuple(starts) if isinstance(starts, list) else (),
        pace=(pool.pace_images_per_minute or 0.0) / 60,
        ceiling=_ceiling(status),
        refused=pool.calls_refused,
        in_doubt=cost[1],
        nano_usd=cost[0],
        note=note,
    )


def _priority(name: str, total: int, status: Status) -> PriorityFrame:
    mine = [queue for queue in status.queues if queue.priority == name]
    return PriorityFrame(
        priority=name,
        total=total,
        queued=sum(queue.queued for queue in mine),
        running=sum(queue.running for queue in mine),
        waiting=sum(queue.waiting + queue.parked for queue in mine),
    )


def _ceiling(status: Status) -> float:
    """Images per second that the provider allows."""
    return next(((pool.images_per_minute or 0.0) / 60 for pool in status.pools if pool.images_started), 0.0)


def _pace(stats: Mapping[str, object]) -> float | None:
    """Images per second from the first accepted call to the last; None when they are too close to tell."""
    first, last, images = stats["first_start_seconds"], stats["last_start_seconds"], stats["images"]
    if isinstance(first, float) and isinstance(last, float) and isinstance(images, int):
        seconds = last - first
        return (images - 1) / seconds if seconds >= PACE_SECONDS_MIN else None
    return None


def _costs(connection: Connection) -> tuple[int, int]:
    """Nano-dollars booked so far, and calls in doubt."""
    known = func.coalesce(func.sum(attempt.c.usd_nano), 0)
    doubtful = func.count().filter(attempt.c.state == "in_doubt")
    row = connection.execute(select(known, doubtful).select_from(attempt)).one()
    return int(row[0]), int(row[1])


async def _settle_doubts(queue: OpenQueue, provider: Provider, ids: Sequence[str]) -> Settled:
    ledger = await queue.ledger()
    attempts = (await ledger.attempts(ids)).values()
    return await settle_doubts(ledger, [row for rows in attempts for row in rows], await provider.bill())


async def _account(queue: OpenQueue, provider: Provider, ids: Sequence[str], started: float) -> Account:
    ledger = await queue.ledger()
    outcomes = await ledger.outcomes(ids)
    sha256s = {image.sha256 for outcome in outcomes.values() for image in outcome.images}
    return account(
        ids,
        outcomes,
        await ledger.attempts(ids),
        await provider.bill(),
        started=started,
        missing_images=await _missing(queue.settings, sha256s),
    )


async def _missing(settings: Settings, sha256s: set[str]) -> int:
    """How many images that the ledger has are not in the store."""
    store = open_store(settings.store_url)
    try:
        return sum([not await store.exists(sha256) for sha256 in sha256s])
    finally:
        await store.aclose()


class _Screen:
    """Draws frames in place on a terminal, and writes a line now and then anywhere else."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(highlight=False, markup=False, emoji=False)
        drawing = sys.stdout.isatty() and not quiet
        self._live = Live(console=console, auto_refresh=False, transient=True) if drawing else None
        self._next_line_seconds = inf if quiet else 0.0

    def __enter__(self) -> "_Screen":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, frame: Frame) -> None:
        """Draw one frame."""
        if self._live is not None:
            self._live.update(drawn(frame), refresh=True)
        elif frame.seconds >= self._next_line_seconds:
            self._next_line_seconds = frame.seconds + LINE_SECONDS
            print_line(line(frame))
