"""Named places at which a test may end the process as `kill -9` would. Without a test they cost one comparison."""

import os
import signal

VARIABLE = "IMAGEQUEUE_CRASH_AT"
POINTS = (
    "claim.after",
    "hold.before",
    "hold.after",
    "call.before",
    "call.after",
    "store.before",
    "store.after",
    "settle.after",
    "ending.after",
    "finish.before",
    "finish.after",
    "requeue.before",
    "requeue.after",
    "answer.before",
    "answer.after",
)
"""Every declared place, in the order of a job's life."""

BATCH_POINTS = (
    "batch.parked.before",
    "batch.formed",
    "batch.upload.after",
    "batch.uploaded",
    "batch.create.before",
    "batch.create.after",
    "batch.open",
    "batch.line.after",
    "batch.read",
    "batch.ended",
    "batch.told",
)
"""Those in the life of a batch."""

_armed: list[str] = []


def arm(point: str) -> None:
    """End the process the first time it reaches `point`; called once by main with what the environment says."""
    if point not in (*POINTS, *BATCH_POINTS):
        raise ValueError(f"{VARIABLE}: one of {', '.join((*POINTS, *BATCH_POINTS))} is accepted")
    _armed.append(point)


def crashpoint(point: str) -> None:
    """End the process here if a test asked for it."""
    if _armed and _armed[0] == point:
        os.kill(os.getpid(), signal.SIGKILL)
