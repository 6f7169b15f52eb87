"""The queue's announcements of jobs that changed, heard over one subscription for the whole process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from redis.exceptions import RedisError

from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text

MESSAGE_SECONDS_MAX: Final = 1.0
RETRY_SECONDS: Final = 0.5

log = structlog.get_logger("imagequeue.door")


class Announcements:
    """Wakes whoever waits for a job. A message may be missed, so waiters look for themselves now and then.

    `closing` says that the door was told to stop.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.closing = False
        self._heard = True  # so that the first failure is told, and no other of the same outage

    @contextmanager
    def of(self, *job_ids: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever one of the jobs changes, for the length of a block."""
        changed = asyncio.Event()
        for job_id in job_ids:
            self._waiting[job_id].add(changed)
        try:
            yield changed
        finally:
            for job_id in set(job_ids):
                self._waiting[job_id].discard(changed)
                if not self._waiting[job_id]:
                    del self._waiting[job_id]

    def close(self) -> None:
        """The door is about to close: wake everybody, so that nobody keeps it open."""
        self.closing = True
        self._wake_all()

    async def run(self) -> None:
        """Listen until cancelled; when the connection breaks, everybody is woken and it is made again."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                if self._heard:
                    log.warning("announcements are not heard; trying again", error=str(error))
                self._heard = False
            self._wake_all()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with self._scripts.redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(f"{self._scripts.keys.own}:events")
            self._heard = True
            self._wake_all()  # what happened before the subscription was not heard
            while True:
                message = await channel.get_message(timeout=MESSAGE_SECONDS_MAX)
                if message is not None:
                    self._wake(text(message["data"]).partition(" ")[0])

    def _wake(self, job_id: str) -> None:
        for changed in self._waiting.get(job_id, ()):
            changed.set()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for changed in events:
                changed.set()
