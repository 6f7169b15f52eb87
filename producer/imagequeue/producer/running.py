"""Who runs on a data dir: one lock file for each, with the process id inside, held by the process itself."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagequeue.config.errors import ImageQueueError
from imagequeue.config.locks import is_held, locked

LOCK_SECONDS_MAX: Final = 1.0
KILLED_SECONDS_MAX: Final = 10.0
POLL_SECONDS: Final = 0.02
UP: Final = "up"
"""The name of the process that looks after the others."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """One process of ours that runs on the data dir."""

    name: str
    process_id: int
    lock: Path


def run_folder(data_dir: Path) -> Path:
    """Return the folder of the lock files; it is made when something is started."""
    return data_dir / "run"


@contextmanager
def registered(folder: Path, name: str) -> Iterator[int]:
    """Hold the lock of `name` and give its descriptor, for a child to inherit; ImageQueueError when it runs already."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.lock"
    if is_held(path):
        raise ImageQueueError(f"{name} runs already (process {path.read_text().strip()}); `imagequeue down` ends it")
    with locked(path, LOCK_SECONDS_MAX) as lock:
        yield lock


def write_process_id(lock: int, process_id: int) -> None:
    """Write whose lock it is."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{process_id}\n".encode(), 0)


def who_runs(folder: Path) -> list[Running]:
    """Return what runs now, the one that looks after the others first."""
    found = [_running(path) for path in sorted(folder.glob("*.lock"))]
    return sorted((running for running in found if running is not None), key=lambda running: running.name != UP)


def stop(folder: Path, *, drain_seconds: float) -> list[Running]:
    """End what runs, each with so long to finish its work, and return it. What does not end by then is killed."""
    ended = []
    for running in who_runs(folder):
        _end(running, drain_seconds)
        ended.append(running)
    return ended


def _running(path: Path) -> Running | None:
    if not is_held(path):
        return None
    text = path.read_text().strip()
    return Running(name=path.stem, process_id=int(text), lock=path) if text.isdecimal() else None


def _end(running: Running, drain_seconds: float) -> None:
    for number, seconds in ((signal.SIGTERM, drain_seconds), (signal.SIGKILL, KILLED_SECONDS_MAX)):
        if not is_held(running.lock):
            return
        with suppress(ProcessLookupError):
            os.kill(running.process_id, number)
        if _gone_within(running.lock, seconds):
            return
    raise ImageQueueError(f"{running.name} (process {running.process_id}) does not end")


def _gone_within(lock: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_held(lock):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
