"""A worker that samples itself: `worker_profile.py` starts it instead of a plain one and asks for its table by SIGUSR1.

The timer runs on the CPU time of the whole process, the handler in the main thread; each sample weighs what the main
thread has used since the last one, so that the work of other threads is not laid at its door.
"""

import json
import os
import runpy
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_SECONDS = 0.002
FRAMES_MAX = 60

PARTS = (
    ("reading and checking the image", ("worker/pictures.py",)),
    ("the call: request, aiohttp, answer", ("worker/call.py", "aiohttp/", "httpx")),
    ("settling in Redis", ("queue/together.py", "worker/returns.py")),
    ("claiming, and asking before a call is sent", ("worker/gate.py", "worker/engine.py:_pull", "queue/claims.py")),
    ("handing over to the ledger", ("ledger/",)),
    ("handing over to the store", ("store/",)),
    (
        "the steps of a job's life",
        ("worker/life.py", "worker/landing.py", "worker/book.py", "worker/engine.py", "queue/payload.py"),
    ),
    ("Redis connections", ("redis/",)),
)
"""What a sample is counted for: the first part of which a frame of it is."""
REST = "event loop and the rest"

seconds: Counter[str] = Counter()
seen = [0.0]


def sample(_number: int, frame: FrameType | None) -> None:
    """Count what the main thread used since the last sample for what it does now."""
    used = time.thread_time()
    seconds[_part(frame)] += used - seen[0]
    seen[0] = used


def _part(frame: FrameType | None) -> str:
    places = []
    while frame is not None and len(places) < FRAMES_MAX:
        places.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
        frame = frame.f_back
    stack = " ".join(places)
    return next((name for name, marks in PARTS if any(mark in stack for mark in marks)), REST)


def write(_number: int, _frame: FrameType | None) -> None:
    """Write the seconds of CPU so far by part, and those of the other threads."""
    ticks = os.sysconf("SC_CLK_TCK")
    threads: Counter[str] = Counter()
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            fields = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()
            threads[thread.name.partition("_")[0]] += (int(fields[11]) + int(fields[12])) / ticks
    told = Path(os.environ["PROFILE_FILE"])
    told.with_suffix(".new").write_text(json.dumps({"main": seconds, "threads": threads}))
    told.with_suffix(".new").rename(told)


if __name__ == "__main__":
    seen[0] = time.thread_time()
    signal.signal(signal.SIGPROF, sample)
    signal.signal(signal.SIGUSR1, write)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)
    runpy.run_module("imagequeue.worker", run_name="__main__")
