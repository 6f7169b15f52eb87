"""The lease of a worker's claims, renewed from a thread of its own, so that a busy event loop cannot lose them."""

import threading
import time
from collections.abc import Callable, Sequence

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from imagequeue.config.keys import Keys
from imagequeue.queue.scripts import source

RENEWALS_PER_LEASE = 3
PAUSE_SECONDS_MIN = 0.2
PAUSE_SECONDS_MAX = 2.0  # what RQ's tools and ours show of a worker is at most this old
LOOP_SILENT_SECONDS_MAX = 120.0
"""An event loop that did nothing for this long is stuck for good; its jobs are better off with another worker."""


class LeaseKeeper:
    """Renews one worker's lease until stopped. The event loop calls `tick` to show that it is alive.

    `on_gone` is called from the thread when the lease was lost.
    """

    def __init__(self, url: str, keys: Keys, worker: str, *, lease_seconds: float, on_gone: Callable[[], None]) -> None:
        self._url = url
        self._keys = keys
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._on_gone = on_gone
        self._script = source("renew")
        self._stop = threading.Event()
        self._tick = time.monotonic()
        self._state = "idle"
        self._queues = ""
        self._note = ""
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def tick(self, *, state: str, queues: Sequence[str], note: str) -> None:
        """Show that the event loop runs, and what to tell RQ's tools about this worker."""
        self._tick = time.monotonic()
        self._state, self._queues, self._note = state, ",".join(queues), note

    def stop(self) -> None:
        """End the renewals; the lease then runs out by itself."""
        self._stop.set()
        self._thread.join(timeout=self._lease_seconds)

    def _run(self) -> None:
        pause_seconds = min(self._lease_seconds / RENEWALS_PER_LEASE, PAUSE_SECONDS_MAX)
        redis = Redis.from_url(
            self._url, socket_timeout=pause_seconds, socket_connect_timeout=pause_seconds, retry=Retry(NoBackoff(), 0)
        )
        wait_seconds = 0.0
        while not self._stop.wait(wait_seconds):
            if time.monotonic() - self._tick > LOOP_SILENT_SECONDS_MAX:
                continue
            try:
                alive = self._renew(redis)
            except RedisError:
                wait_seconds = max(PAUSE_SECONDS_MIN, pause_seconds / RENEWALS_PER_LEASE)
                continue
            if not alive:
                self._on_gone()
                break
            wait_seconds = pause_seconds
        redis.close()

    def _renew(self, redis: Redis) -> bool:
        arguments = (
            self._keys.rq, self._keys.own, self._worker, int(self._lease_seconds * 1_000_000),
            self._state, self._queues, self._note,
        )  # fmt: skip
        return bool(redis.eval(self._script, 0, *arguments))
