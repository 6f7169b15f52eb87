"""The client for code that is not asynchronous: the asynchronous one, on an event loop in a thread of its own.

with ImageQueue() as queue:
    handle = queue.submit("a lighthouse at dusk", priority="high")
    print(queue.wait(handle, timeout=120).images[0].url)
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from imagequeue.config.job import Priority
from imagequeue.config.settings import Settings
from imagequeue.producer.client import (
    DEADLINE_SECONDS,
    WAIT_SECONDS,
    AsyncImageQueue,
    JobHandle,
    JobId,
    JobLike,
)
from imagequeue.queue.acts import Acted, NotPossible
from imagequeue.queue.listing import JobQuery
from imagequeue.queue.reading import ViewPage
from imagequeue.queue.status import Status
from imagequeue.queue.views import Image, JobView

if TYPE_CHECKING:  # an app on Redis need not load an HTTP client
    from imagequeue.producer.http_client import AsyncHttpImageQueue

Answer = TypeVar("Answer")


class ImageQueue:
    """AsyncImageQueue for threads: the same methods with the same meaning and errors, from any thread.

    It opens when first used, so that it may be made before a web server forks; `close`, or the end of a `with`
    block, closes it.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._queue: AsyncImageQueue | AsyncHttpImageQueue = AsyncImageQueue(settings)
        self._opening = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def over_http(cls, url: str, api_key: str | None = None, *, deadline_seconds: float = DEADLINE_SECONDS) -> Self:
        """Return a client that speaks to a door at `url`, e.g. `https://images.example.com`, instead of to Redis.

        `deadline_seconds` bounds each request with all its tries; `wait` waits longer by its own timeout.
        """
        made = cls()
        made._queue = AsyncImageQueue.over_http(url, api_key, deadline_seconds=deadline_seconds)
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, job: JobLike, **fields: object) -> JobHandle:
        """Queue one job: a prompt or a job, with more of the job's fields by name."""
        return self._run(self._queue.submit(job, **fields))

    def submit_many(self, jobs: Iterable[JobLike]) -> list[JobHandle]:
        """Queue many jobs; all are checked before the first is queued."""
        return self._run(self._queue.submit_many(list(jobs)))

    def upload(self, image: bytes | Path | str, *, tenant: str | None = None) -> str:
        """Keep an image for a tenant and return its reference, for the `images` and `mask` of jobs."""
        return self._run(self._queue.upload(image, tenant=tenant))

    def get(self, job: JobId) -> JobView:
        """Return a job as it is now."""
        return self._run(self._queue.get(job))

    def list_jobs(self, query: JobQuery | None = None) -> ViewPage:
        """Return a page of jobs."""
        return self._run(self._queue.list_jobs(query))

    def wait(self, job: JobId, timeout: float | None = WAIT_SECONDS) -> JobView:
        """Return a job once it has ended; TimeoutError after `timeout` seconds."""
        return self._run(self._queue.wait(job, timeout))

    def as_completed(self, jobs: Iterable[JobId], timeout: float | None = WAIT_SECONDS) -> Iterator[JobView]:
        """Yield each job once, as it ends."""
        ending = self._queue.as_completed(list(jobs), timeout)
        try:
            while True:  # ends with the jobs or the timeout
                try:
                    yield self._run(_next(ending))
                except StopAsyncIteration:
                    return
        finally:
            self._run(ending.aclose())

    def cancel(self, job: JobId) -> Acted:
        """Cancel a job."""
        return self._run(self._queue.cancel(job))

    def retry(self, job: JobId, *, priority: Priority | None = None) -> Acted:
        """Queue a failed, cancelled, expired or waiting job again."""
        return self._run(self._queue.retry(job, priority=priority))

    def prioritize(self, job: JobId, priority: Priority) -> Acted:
        """Let a job that has not started go on at another priority."""
        return self._run(self._queue.prioritize(job, priority))

    def keep(self, job: JobId, images: Sequence[str] | None = None) -> Acted:
        """Note which images of a job are used."""
        return self._run(self._queue.keep(job, images))

    def image(self, image: Image | str) -> bytes:
        """Return an image's bytes: an image of a view, or its SHA-256 in hexadecimal."""
        return self._run(self._queue.image(image))

    def status(self) -> Status:
        """Return the state of queues, pools and workers; over HTTP, ask the door's /v1/status instead."""
        if not isinstance(self._queue, AsyncImageQueue):
            raise NotPossible("status: a client over HTTP has none; the door tells it at GET /v1/status")
        return self._run(self._queue.status())

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        with self._opening:
            if self._loop is None or self._thread is None:
                return
            asyncio.run_coroutine_threadsafe(self._queue.__aexit__(None, None, None), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None

    def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            loop = self._open()
        except BaseException:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C in this thread ends the work in the other
            raise

    def _open(self) -> asyncio.AbstractEventLoop:
        with self._opening:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=loop.run_forever, name="imagequeue-client", daemon=True)
                self._thread.start()
                self._loop = loop
                try:
                    asyncio.run_coroutine_threadsafe(self._queue.__aenter__(), loop).result()
                except BaseException:
                    self._stop_unopened(loop)
                    raise
            return self._loop

    def _stop_unopened(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(loop.stop)
        if self._thread is not None:
            self._thread.join()
        loop.close()
        self._loop = self._thread = None


async def _next(ending: AsyncGenerator[JobView]) -> JobView:
    return await anext(ending)
