"""Several engines, one process each: started again with growing pauses when they die, drained together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from imagequeue.config.signals import stop_signals
from imagequeue.worker.main import WorkerOptions

RESTART_SECONDS_FIRST = 0.5
RESTART_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
"""An engine that ran for this long has earned a quick restart again."""
LOOK_SECONDS = 0.1

log = structlog.get_logger("imagequeue.worker")


@dataclass(kw_only=True)
class Place:
    """One of the engines to keep running."""

    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_after: float = 0.0
    pause_seconds: float = RESTART_SECONDS_FIRST
    done: bool = False


@dataclass(kw_only=True)
class Signals:
    """Stop signals received so far."""

    count: int = 0
    passed_on: int = field(default=0)

    def note(self, _number: int, _frame: object) -> None:
        """Count one."""
        self.count += 1


def supervise(processes: int, options: WorkerOptions) -> None:
    """Keep `processes` engines running until told to stop, or in burst mode until each has ended by itself."""
    signals = Signals()
    for name in stop_signals():
        signal.signal(name, signals.note)
    places = [Place() for _ in range(processes)]
    while not all(place.done for place in places):
        for place in places:
            _look_after(place, options, stopping=signals.count > 0)
        if signals.count > signals.passed_on:
            signals.passed_on += 1
            _pass_on(places)
        time.sleep(LOOK_SECONDS)


def _look_after(place: Place, options: WorkerOptions, *, stopping: bool) -> None:
    now = time.monotonic()
    if place.done:
        return
    if place.process is None:
        if stopping:
            place.done = True
        elif now >= place.start_after:
            place.process, place.started_at = _start(options), now
        return
    status = place.process.poll()
    if status is None:
        return
    place.process = None
    if stopping or (options.burst and status == 0):
        place.done = True
        return
    if now - place.started_at > STEADY_SECONDS:
        place.pause_seconds = RESTART_SECONDS_FIRST
    log.warning("an engine ended; starting it again", status=status, pause_seconds=place.pause_seconds)
    place.start_after = now + place.pause_seconds
    place.pause_seconds = min(place.pause_seconds * 2, RESTART_SECONDS_MAX)


def _start(options: WorkerOptions) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches the supervisor only, which passes it on once.
    return subprocess.Popen([sys.executable, "-m", "imagequeue.worker", *_arguments(options)], start_new_session=True)  # noqa: S603 - our own module


def _arguments(options: WorkerOptions) -> list[str]:
    arguments = [] if options.max_in_flight is None else ["--max-in-flight", str(options.max_in_flight)]
    for queue in options.queues:
        arguments += ["--queues", queue]
    return arguments + (["--burst"] if options.burst else [])


def _pass_on(places: Sequence[Place]) -> None:
    for place in places:
        if place.process is not None and place.process.poll() is None:
            os.kill(place.process.pid, signal.SIGTERM)
