"""An engine whose supervisor was killed ends as if it had been told to: no command could find it any more."""

import os
import signal
import threading
import time
from typing import Final

LOOK_SECONDS: Final = 1.0


def end_with_parent(look_seconds: float = LOOK_SECONDS) -> None:
    """Send this process SIGTERM once the one that started it is gone; looked at by a thread of its own."""
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent, look_seconds), name="imagequeue-parent", daemon=True).start()


def _watch(parent: int, look_seconds: float) -> None:
    while os.getppid() == parent:
        time.sleep(look_seconds)
    os.kill(os.getpid(), signal.SIGTERM)
