"""The client that apps use: submit jobs, wait for them, look at them, cancel and retry them. Asynchronous.

async with AsyncImageQueue() as queue:
    handle = await queue.submit("a lighthouse at dusk", priority="high")
    view = await queue.wait(handle, timeout=120)
    print(view.images[0].url)
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from imagequeue.config.clock import SystemClock
from imagequeue.config.errors import JobRefused, NotFound, Unavailable
from imagequeue.config.job import Job, Priority, parse_job
from imagequeue.config.settings import Settings, load_settings
from imagequeue.config.tracing import spans
from imagequeue.producer.admission import Admission
from imagequeue.producer.bulk import send_in_batches
from imagequeue.producer.open_queue import OpenQueue, open_queue
from imagequeue.queue.carrying import carrying
from imagequeue.queue.endings import endings
from imagequeue.queue.entries import Accepted, Entry, enqueue
from imagequeue.queue.listing import JobQuery
from imagequeue.queue.record import check_id
from imagequeue.queue.scripts import Scripts

if TYPE_CHECKING:  # see open_queue
    from pathlib import Path

    from imagequeue.ledger.ledger import Ledger
    from imagequeue.producer.http_client import AsyncHttpImageQueue
    from imagequeue.producer.inputs import Inputs
    from imagequeue.queue.acts import Acted
    from imagequeue.queue.reading import ViewPage
    from imagequeue.queue.status import Status
    from imagequeue.queue.status_reading import StatusReader
    from imagequeue.queue.views import Image, JobView

DEFAULT_TENANT: Final = "default"
DEADLINE_SECONDS: Final = 60.0
"""How long a request over HTTP may take with all its tries, unless told otherwise."""
WAIT_SECONDS: Final = 3600.0
"""How long `wait` and `as_completed` wait unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class JobHandle:
    """A job that is queued. `created` is False when the same job, by its idempotency key, was there before.

    `cached` is True when a stored result answered it: it has succeeded already.
    """

    id: str
    created: bool = True
    cached: bool = False


JobLike = str | Job | Mapping[str, object]
"""A prompt, a job, or a job object as decoded from JSON."""

JobId = str | JobHandle


class AsyncImageQueue:
    """A client of one image queue; `async with` opens and closes it. Without settings it reads the environment.

    Errors: JobRefused names the field of a job that is not acceptable, IdempotencyConflict a key that came with
    another body, Unavailable a part that does not answer (nothing was lost; try again).
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._opened: OpenQueue | None = None
        self._admission: Admission | None = None

    @staticmethod
    def over_http(
        url: str, api_key: str | None = None, *, deadline_seconds: float = DEADLINE_SECONDS
    ) -> "AsyncHttpImageQueue":
        """Return a client with the same methods that speaks to a door at `url`, e.g. `https://images.example.com`.

        `deadline_seconds` bounds each request with all its tries; `wait` waits longer by its own timeout.
        """
        from imagequeue.producer.http_client import AsyncHttpImageQueue

        return AsyncHttpImageQueue(url, api_key, deadline_seconds=deadline_seconds)

    async def __aenter__(self) -> Self:
        settings = self._settings or load_settings(keys_needed=False)
        self._opened = await open_queue(settings)
        clock = SystemClock()
        self._admission = Admission(settings, self._opened.catalog, lambda: clock.now().date())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.aclose()
        self._opened = self._admission = None

    async def submit(self, job: JobLike, **fields: object) -> JobHandle:
        """Queue one job: a prompt or a job, with more of the job's fields by name.

        `images` and `mask` may be bytes, paths of files, data URLs, references (`sha256:...`) and http(s) addresses.
        """
        return (await self.submit_many([with_fields(job, fields)]))[0]

    async def submit_many(self, jobs: Iterable[JobLike]) -> list[JobHandle]:
        """Queue many jobs and return their handles in order. All are checked before the first is queued.

        A reply that is lost is asked for again under the same ids, which adds no job twice.
        """
        entries = [await self._checked(with_fields(job, {})) for job in jobs]
        tracing = spans()
        with tracing.span("enqueue", kind="producer", jobs=len(entries)):
            if tracing.on:
                entries = carrying(entries, tracing.carried())
            return [handle async for batch in self.submit_entries(entries) for handle in batch]

    async def _checked(self, job: JobLike) -> Entry:
        """The entry of a job, its input images kept and known to be its tenant's."""
        if not _names_images(job):
            return self.entry(job)
        inputs = await self.inputs()
        if isinstance(job, Mapping):
            job = await inputs.taken_in(job, str(job.get("tenant") or DEFAULT_TENANT), files=True)
        entry = self.entry(job)
        await inputs.check(entry.job)
        return entry

    async def upload(self, image: "bytes | Path | str", *, tenant: str | None = None) -> str:
        """Keep an image for a tenant (None: the default one) and return its reference, for a job's `images` and `mask`.

        Bytes, the path of a file, or a data URL; JobRefused when it is no image.
        """
        return str(await (await self.inputs()).reference(image, tenant or DEFAULT_TENANT, "image", files=True))

    async def inputs(self) -> "Inputs":
        """Return what keeps input images; it opens the ledger and the store, which are closed with the queue."""
        return await self._queue.inputs()

    def entry(self, job: JobLike) -> Entry:
        """Return a checked job on its way to a queue; nothing is sent. For callers that stream."""
        if self._admission is None:
            raise RuntimeError("the queue is not open; use it in an async with block")
        return self._admission.entry(_job(job))

    async def submit_batch(self, entries: Sequence[Entry]) -> list[JobHandle]:
        """Queue checked jobs, at most BATCH_MAX in one step of the server, and return their handles in order."""
        return await self._send(entries)

    async def submit_entries(self, entries: Iterable[Entry]) -> AsyncGenerator[list[JobHandle]]:
        """Queue checked jobs and yield their handles in order, batch by batch."""
        async with aclosing(send_in_batches(entries, self._send)) as batches:
            async for batch in batches:
                yield batch

    async def _send(self, entries: Sequence[Entry]) -> list[JobHandle]:
        queue = self._queue
        accepted = await enqueue(
            queue.lane,
            entries,
            result_ttl_seconds=queue.settings.result_ttl_seconds,
            timeout_seconds=int(queue.settings.call_timeout_seconds),
            key_ttl_seconds=queue.settings.idempotency_ttl_seconds,
        )
        ended = await self._deliver(entries, accepted)
        return [JobHandle(id=one.id, created=one.created, cached=one.id in ended) for one in accepted]

    async def _deliver(self, entries: Sequence[Entry], accepted: Sequence[Accepted]) -> set[str]:
        """End the jobs that stored results answer; returns which. What cannot be ended now, a worker ends."""
        answered = [(entry, one.stored) for entry, one in zip(entries, accepted, strict=True) if one.stored is not None]
        if not answered:
            return set()
        from imagequeue.queue.hits import Hit  # see open_queue

        hits = [Hit(entry=entry, text=text) for entry, text in answered]
        try:
            return await (await self._queue.hits()).deliver(hits)
        except Unavailable:  # the ledger does not open
            return set()

    async def get(self, job: JobId) -> "JobView":
        """Return a job as it is now; NotFound when there is none of this id."""
        return await (await self._queue.jobs()).view(_id(job))

    async def list_jobs(self, query: JobQuery | None = None) -> "ViewPage":
        """Return a page of jobs."""
        return await (await self._queue.jobs()).page(query or JobQuery())

    async def wait(self, job: JobId, timeout: float | None = WAIT_SECONDS) -> "JobView":  # noqa: ASYNC109 - as the sync client
        """Return a job once it has ended, at once if it has; TimeoutError after `timeout` seconds (None: never).

        NotFound when there is no such job.
        """
        async with aclosing(self.as_completed([job], timeout)) as ending:
            async for view in ending:
                return view
        raise NotFound(f"job {_id(job)}: there is none of this id")

    async def as_completed(
        self,
        jobs: Iterable[JobId],
        timeout: float | None = WAIT_SECONDS,  # noqa: ASYNC109 - as above
    ) -> "AsyncGenerator[JobView]":
        """Yield each job once, as it ends; TimeoutError when some have not ended after `timeout` seconds.

        Jobs that nobody knows are left out.
        """
        reader = await self._queue.jobs()
        ids = [check_id(_id(job)) for job in jobs]
        async with aclosing(endings(self._queue.scripts, ids, timeout_seconds=timeout)) as groups:
            async for group in groups:
                for view in (await reader.views(sorted(group))).values():
                    yield view

    async def cancel(self, job: JobId) -> "Acted":
        """Cancel a job: at once while it waits, before its call while it runs, and not after its end."""
        return await (await self._queue.acts()).cancel(_id(job))

    async def retry(self, job: JobId, *, priority: Priority | None = None) -> "Acted":
        """Queue a failed, cancelled, expired or waiting job again."""
        return await (await self._queue.acts()).retry(_id(job), priority=priority)

    async def prioritize(self, job: JobId, priority: Priority) -> "Acted":
        """Let a job that has not started go on at another priority."""
        return await (await self._queue.acts()).prioritize(_id(job), priority)

    async def keep(self, job: JobId, images: Sequence[str] | None = None) -> "Acted":
        """Note which images of a job are used, by SHA-256; None for all."""
        return await (await self._queue.acts()).keep(_id(job), images)

    async def image(self, image: "Image | str") -> bytes:
        """Return an image's bytes: an image of a view, or its SHA-256 in hexadecimal. NotFound when it is not kept."""
        sha256 = image if isinstance(image, str) else image.record.sha256
        data = await self._queue.store().get(sha256)
        if data is None:
            raise NotFound(f"image {sha256[:64]}: there is none of this digest")
        return data

    async def status(self) -> "Status":
        """Return the state of queues, pools and workers."""
        return await self.status_reader().read()

    def status_reader(self) -> "StatusReader":
        """Return what reads the status repeatedly; it then also knows what share of the ceilings is used."""
        return self._queue.status()

    async def ledger(self) -> "Ledger":
        """Return the ledger, for parts that look further; it is closed with the queue."""
        return await self._queue.ledger()

    @property
    def settings(self) -> Settings:
        """The settings it was opened with."""
        return self._queue.settings

    @property
    def scripts(self) -> Scripts:
        """The connection, for commands that look further."""
        return self._queue.scripts

    @property
    def _queue(self) -> OpenQueue:
        if self._opened is None:
            raise RuntimeError("the queue is not open; use it in an async with block")
        return self._opened


def _job(job: JobLike) -> Job:
    if isinstance(job, Job):
        return job
    return parse_job({"prompt": job} if isinstance(job, str) else job)


def with_fields(job: JobLike, fields: Mapping[str, object]) -> JobLike:
    """Return a job with more of its fields; JobRefused when it is nothing that could be one."""
    if not isinstance(job, str | Job | Mapping):
        raise JobRefused("job", "a prompt, a Job or an object of its fields is needed")
    if not fields:
        return job
    if isinstance(job, Job):
        return {**job.model_dump(exclude_defaults=True), **fields}
    return {**({"prompt": job} if isinstance(job, str) else job), **fields}


def _names_images(job: JobLike) -> bool:
    if isinstance(job, Job):
        return bool(job.images)
    return not isinstance(job, str) and (job.get("images") is not None or job.get("mask") is not None)


def _id(job: JobId) -> str:
    return job.id if isinstance(job, JobHandle) else job
