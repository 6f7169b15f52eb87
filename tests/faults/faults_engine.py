"""Faults of a worker: its loop held up, the process frozen past its lease, a job that kills it, a clock that jumps."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from faults_scene import Scene, Seen, scene
from soak_check import findings
from soak_processes import BLOCK_VARIABLE, POISON_VARIABLE, wait_until
from soak_site import LEASE_SECONDS, Site

from imagequeue.config.job import Job
from imagequeue.simulator.latency import Latency

LIBRARIES: Final = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime")
HOUR_SECONDS: Final = 3600
DEATHS_MAX: Final = 40
WAIT_SECONDS_MAX: Final = 60.0
LONG_CALL: Final = Latency(kind="fixed", seconds=0.5)
POISON: Final = "poison"
POISON_SECONDS_MAX: Final = 1200.0
"""The jobs beside it are told apart by longer and longer waits."""


def crashes(site: Site) -> int:
    """Return how often a job was taken from a worker that was given up."""
    counts = [site.redis.hget(site.keys.job(name), "iq_crashes") for name in site.acked]
    return sum(int(count or 0) for count in counts)


def loop_blocked(seconds: float, jobs: int) -> Seen:
    """One worker computes for so long, with calls in flight: its lease thread keeps its claims."""
    with scene(latency=LONG_CALL, **{BLOCK_VARIABLE: str(seconds)}) as stage:
        stage.enqueue(jobs)
        stage.wait_for_flow()
        begun = time.monotonic()
        stage.workers[0].signal(signal.SIGUSR2)
        stage.watch(seconds)
        return _seen(stage, "event loop blocked", begun, {"false_rescues": crashes(stage.site)})


def frozen_worker(seconds: float, jobs: int) -> Seen:
    """One worker is stopped past its lease with calls in flight, and goes on: what it brings is refused."""
    with scene(latency=LONG_CALL) as stage:
        stage.enqueue(jobs)
        stage.wait_for_flow()
        begun = time.monotonic()
        stage.workers[0].pause()
        stage.watch(seconds)
        stage.workers[0].wake()
        return _seen(stage, "worker frozen past its lease", begun, {"rescued": crashes(stage.site)})


def poison(jobs: int) -> Seen:
    """One job kills every worker that runs it; the worker is started again each time, as a supervisor does."""
    with scene(workers=1, IMAGEQUEUE_LEASE_SECONDS="1", **{POISON_VARIABLE: POISON}) as stage:
        begun = time.monotonic()
        bad = stage.site.add(Job(prompt=POISON, model="dall-e-3", priority="high"))
        stage.enqueue(jobs)
        deaths, until = 0, begun + POISON_SECONDS_MAX
        while stage.site.ended() < len(stage.site.acked):
            assert time.monotonic() < until, "the poison is not told apart"
            if not stage.workers[0].alive:
                deaths += 1
                assert deaths < DEATHS_MAX, "the poison is given out again and again"
                stage.workers[0] = stage.site.nursery.start()
            time.sleep(0.02)
        stage.reasons[f"job: {(stage.site.redis.hget(stage.site.keys.job(bad), 'iq_error') or b'').decode()}"] = None
        return _seen(stage, "poison job", begun, {"worker_deaths": deaths, "dead_lettered": _failed(stage.site)})


def _failed(site: Site) -> list[str]:
    return [name for name, status in site.statuses().items() if status == "failed"]


def _seen(stage: Scene, name: str, begun: float, facts: dict[str, object]) -> Seen:
    ended = time.monotonic()
    stage.until_rest()
    statuses = stage.end()
    return Seen(
        fault=name,
        seconds=ended - begun,
        found=asyncio.run(findings(stage.site)),
        blind_calls=None,
        resumed_seconds=None,
        reasons=tuple(stage.reasons),
        statuses=statuses,
        facts=facts,
    )


def faketime() -> str:
    """Return the library that shows processes another clock, '' when it is not installed."""
    found = [Path(folder, "libfaketime.so.1") for folder in LIBRARIES]
    return next((str(path) for path in found if path.exists()), "")


def _clock(folder: Path) -> tuple[Path, dict[str, str]]:
    """Return a file that says by how much the clock is wrong, and the variables of a process that reads it."""
    offset = folder / "clock"
    offset.write_text("+0")
    variables = {
        "LD_PRELOAD": faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return offset, variables


def worker_clock(seconds: float, jobs: int) -> Seen:
    """The clock of every worker jumps an hour ahead, then an hour back behind the true time, then to it."""
    with scene(workers=0) as stage, _clocked_workers(stage.site) as offset:
        stage.enqueue(jobs)
        stage.wait_for_flow()
        begun = time.monotonic()
        for jump in (HOUR_SECONDS, -HOUR_SECONDS, 0):
            offset.write_text(f"{jump:+d}")
            stage.watch(seconds / 3)
        return _seen(stage, "clock of the workers ±1 h", begun, {"false_rescues": crashes(stage.site)})


@contextmanager
def _clocked_workers(site: Site) -> Iterator[Path]:
    offset, variables = _clock(site.folder)
    environ = {**os.environ, **site.nursery.environ, **variables}
    command = [sys.executable, "-m", "imagequeue.worker"]
    workers = [subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        yield offset
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait(WAIT_SECONDS_MAX)


def server_clock(seconds: float, jobs: int) -> Seen:
    """The clock of Redis jumps an hour ahead, and back again; a worker is killed while it is ahead."""
    with scene(workers=2, latency=LONG_CALL) as stage:
        offset, variables = _clock(stage.site.folder)
        stage.site.server.kill()
        stage.site.server.start(**variables)
        stage.enqueue(jobs)
        stage.wait_for_flow()
        begun = time.monotonic()
        offset.write_text(f"+{HOUR_SECONDS}")
        stage.watch(seconds / 2)
        false_rescues = crashes(stage.site)
        stage.workers[1].signal(signal.SIGKILL)
        stage.workers[1].process.join()
        offset.write_text("+0")
        stage.watch(seconds / 2)
        killed = stage.workers.pop()
        names = f"{stage.site.keys.own}:workers"
        wait_until(
            "the killed worker is given up",
            LEASE_SECONDS * 3,
            lambda: not any(f"-{killed.pid}-" in name.decode() for name in stage.site.redis.zrange(names, 0, -1)),
        )
        return _seen(stage, "clock of Redis ±1 h", begun, {"false_rescues": false_rescues})
