"""Stop signals, heard from the first moment on: one that comes before the engine is there is not lost."""

import asyncio
from collections.abc import Callable, Collection

from imagequeue.config.signals import stop_signals

CANCEL_SECONDS = 0.5
CANCELS_MAX = 20


async def end_tasks(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended, a bounded number of times.

    Once is not enough: a client library may take a cancellation for a timeout of its own, and the task goes on.
    """
    left = set(tasks)
    for _ in range(CANCELS_MAX):
        for task in left:
            task.cancel()
        if left:
            _, left = await asyncio.wait(left, timeout=CANCEL_SECONDS)


class StopRequests:
    """Counts stop signals and passes each on to whoever is there to hear it."""

    def __init__(self) -> None:
        self._count = 0
        self._stop: Callable[[], None] | None = None

    def listen(self) -> None:
        """Hear signals from now on; called inside the running event loop."""
        loop = asyncio.get_running_loop()
        for name in stop_signals():
            loop.add_signal_handler(name, self._ask)

    def hand_to(self, stop: Callable[[], None]) -> None:
        """Call `stop` for each signal, also for those that came before."""
        self._stop = stop
        for _ in range(self._count):
            stop()

    def _ask(self) -> None:
        self._count += 1
        if self._stop is not None:
            self._stop()
