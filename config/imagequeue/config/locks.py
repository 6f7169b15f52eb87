"""Locks on files (flock): held as long as the file is open, so the kernel gives one back however its holder dies.

A child that inherits the descriptor holds the lock too. So a lock says exactly whether a program still runs, which a
recorded process id cannot: ids are used again.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from imagequeue.config.errors import Unavailable

POLL_SECONDS: Final = 0.02


def _try_lock(path: Path, kind: int) -> int | None:
    """Return a descriptor that holds the lock until it is closed, or None when somebody else has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(path: Path) -> bool:
    """Return whether somebody holds the lock now. Any number may look at once without seeing each other."""
    descriptor = _try_lock(path, fcntl.LOCK_SH)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


@contextmanager
def locked(path: Path, seconds_max: float) -> Iterator[int]:
    """Hold the lock, waiting for it at most so long; Unavailable then. Gives the descriptor."""
    deadline = time.monotonic() + seconds_max
    descriptor = _try_lock(path, fcntl.LOCK_EX)
    while descriptor is None:
        if time.monotonic() > deadline:
            raise Unavailable(f"{path}: locked by another process for {seconds_max:.0f} s")
        time.sleep(POLL_SECONDS)
        descriptor = _try_lock(path, fcntl.LOCK_EX)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
