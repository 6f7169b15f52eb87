"""The client over HTTP: the methods of AsyncImageQueue, spoken to a door instead of to Redis. No Redis, no ledger.

async with AsyncImageQueue.over_http("https://images.example.com", api_key="iq_...") as queue:
    handle = await queue.submit("a lighthouse at dusk", priority="high")
    view = await queue.wait(handle, timeout=120)
    data = await queue.image(view.images[0])
"""

import asyncio
import base64
import functools
import hashlib
import json
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote_to_bytes

import httpx

from imagequeue.config.errors import JobRefused, NotFound
from imagequeue.config.job import Job, Priority, parse_job
from imagequeue.producer.client import (
    DEADLINE_SECONDS,
    DEFAULT_TENANT,
    WAIT_SECONDS,
    JobHandle,
    JobId,
    JobLike,
    with_fields,
)
from imagequeue.producer.http_views import BadAnswer, acted_of, page_of, view_of
from imagequeue.producer.http_wire import Wire
from imagequeue.queue.acts import Acted
from imagequeue.queue.listing import JobQuery
from imagequeue.queue.reading import ViewPage
from imagequeue.queue.record import check_id
from imagequeue.queue.views import Image, JobView

LONG_POLL_SECONDS: Final = 20.0
TURN_SECONDS: Final = 1.0
"""How long one of many jobs is waited for, before it is another's turn."""
POLLS_MAX: Final = 32
DATA_URL: Final = "data:"
KEPT_ELSEWHERE: Final = ("sha256:", "http://", "https://")
JOBS_PER_REQUEST_MAX: Final = 50_000


class AsyncHttpImageQueue:
    """A client of one door; `async with` opens and closes it. Made by `AsyncImageQueue.over_http`.

    Jobs without an idempotency key get one, so that a request whose answer was lost is sent again and queues nothing
    twice. Errors are those of the client over Redis, and NotAllowed for a key that is unknown or may not do it.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._make = functools.partial(Wire, url, api_key, deadline_seconds=deadline_seconds, transport=transport)
        self._opened: Wire | None = None

    async def __aenter__(self) -> Self:
        self._opened = self._make()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.aclose()
        self._opened = None

    async def submit(self, job: JobLike, **fields: object) -> JobHandle:
        """Queue one job: a prompt or a job, with more of the job's fields by name.

        `images` and `mask` may be bytes, paths of files, data URLs, references (`sha256:...`) and http(s) addresses.
        """
        told = await self._prepared(_values(job, fields))
        answer = (await self._wire.send("POST", "/v1/jobs", body=told)).json()
        return JobHandle(id=answer["id"], created=answer["created"], cached=answer["status"] == "succeeded")

    async def submit_many(self, jobs: Iterable[JobLike]) -> list[JobHandle]:
        """Queue many jobs, streamed as JSON lines, and return their handles in order.

        The form of all is checked before the first is sent. What the door refuses stops the rest: JobRefused names
        the line and how many were queued before it; sent again as they are, those are not queued twice, if each has
        an idempotency key of its own.
        """
        lines = [_line(await self._prepared(_values(job, {}))) for job in jobs]
        handles: list[JobHandle] = []
        for start in range(0, len(lines), JOBS_PER_REQUEST_MAX):
            handles += await self._bulk(lines[start : start + JOBS_PER_REQUEST_MAX])
        return handles

    async def _bulk(self, lines: Sequence[bytes]) -> list[JobHandle]:
        async def stream() -> AsyncIterator[bytes]:
            for line in lines:
                yield line

        answer = (await self._wire.send("POST", "/v1/jobs/bulk", stream=stream, params=[("handles", "1")])).json()
        if len(answer.get("handles", ())) != len(lines):
            raise BadAnswer("the door's answer does not name every job that was sent")
        return [JobHandle(id=one["id"], created=one["created"]) for one in answer["handles"]]

    async def upload(self, image: bytes | Path | str, *, tenant: str | None = None) -> str:
        """Keep an image for a tenant (None: the key's own) and return its reference; JobRefused when it is none.

        Bytes, the path of a file, or a data URL.
        """
        return await self._kept(image, tenant, "image")

    async def _kept(self, image: bytes | Path | str, tenant: str | None, field: str) -> str:
        data = image if isinstance(image, bytes) else await asyncio.to_thread(_read, image, field)
        params = [] if tenant is None else [("tenant", tenant)]

        async def stream() -> AsyncIterator[bytes]:
            yield data

        headers = {"content-type": "application/octet-stream"}
        try:
            answer = await self._wire.send("POST", "/v1/images", stream=stream, params=params, headers=headers)
        except JobRefused as error:
            raise JobRefused(field if error.field == "body" else error.field, error.message) from error
        return str(answer.json()["images"][0]["reference"])

    async def get(self, job: JobId) -> JobView:
        """Return a job as it is now; NotFound when there is none of this id."""
        return view_of((await self._wire.send("GET", f"/v1/jobs/{_id(job)}")).json())

    async def list_jobs(self, query: JobQuery | None = None) -> ViewPage:
        """Return a page of jobs: of the key's tenant, if it has one."""
        return page_of((await self._wire.send("GET", "/v1/jobs", params=_filters(query or JobQuery()))).json())

    async def wait(self, job: JobId, timeout: float | None = WAIT_SECONDS) -> JobView:  # noqa: ASYNC109 - as the client over Redis
        """Return a job once it has ended, at once if it has; TimeoutError after `timeout` seconds (None: never).

        NotFound when there is no such job.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:  # ends with the job or the deadline
            left = LONG_POLL_SECONDS if deadline is None else deadline - time.monotonic()
            view = await self._poll(_id(job), min(max(left, 0.0), LONG_POLL_SECONDS))
            if view.ended:
                return view
            if left <= 0:
                raise TimeoutError(f"job {_id(job)} has not ended in {timeout:g} s")

    async def as_completed(
        self,
        jobs: Iterable[JobId],
        timeout: float | None = WAIT_SECONDS,  # noqa: ASYNC109 - as above
    ) -> AsyncGenerator[JobView]:
        """Yield each job once, as it ends; TimeoutError when some have not ended after `timeout` seconds.

        Jobs that nobody knows are left out.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        waiting = deque(dict.fromkeys(_id(job) for job in jobs))
        polls: dict[asyncio.Task[JobView | None], str] = {}
        try:
            while waiting or polls:
                seconds = LONG_POLL_SECONDS if len(waiting) + len(polls) <= POLLS_MAX else TURN_SECONDS
                while waiting and len(polls) < POLLS_MAX:
                    job_id = waiting.popleft()
                    polls[asyncio.create_task(self._known(job_id, seconds))] = job_id
                left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
                done, _ = await asyncio.wait(polls, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    raise TimeoutError(f"{len(waiting) + len(polls)} jobs have not ended in {timeout:g} s")
                for poll in done:
                    job_id, view = polls.pop(poll), poll.result()
                    if view is not None and view.ended:
                        yield view
                    elif view is not None:
                        waiting.append(job_id)
        finally:
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)

    async def cancel(self, job: JobId) -> Acted:
        """Cancel a job: at once while it waits, before its call while it runs, and not after its end."""
        return acted_of((await self._wire.send("POST", f"/v1/jobs/{_id(job)}/cancel")).json())

    async def retry(self, job: JobId, *, priority: Priority | None = None) -> Acted:
        """Queue a failed, cancelled, expired or waiting job again."""
        body = {} if priority is None else {"priority": priority}
        return acted_of((await self._wire.send("POST", f"/v1/jobs/{_id(job)}/retry", body=body)).json())

    async def prioritize(self, job: JobId, priority: Priority) -> Acted:
        """Let a job that has not started go on at another priority."""
        path = f"/v1/jobs/{_id(job)}/priority"
        return acted_of((await self._wire.send("POST", path, body={"priority": priority})).json())

    async def keep(self, job: JobId, images: Sequence[str] | None = None) -> Acted:
        """Note which images of a job are used, by SHA-256; None for all."""
        body = {} if images is None else {"images": list(images)}
        return acted_of((await self._wire.send("POST", f"/v1/jobs/{_id(job)}/keep", body=body)).json())

    async def image(self, image: Image | str) -> bytes:
        """Return an image's bytes, checked against its digest: an image of a view, or its SHA-256 in hexadecimal."""
        sha256 = image.record.sha256 if isinstance(image, Image) else image
        data = (await self._wire.send("GET", f"/v1/images/{sha256}")).content
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BadAnswer(f"image {sha256}: what the door sent has another digest")
        return data

    async def _poll(self, job_id: str, seconds: float) -> JobView:
        params = [("wait", f"{seconds:.3f}")]
        answer = await self._wire.send("GET", f"/v1/jobs/{job_id}", params=params, extra_seconds=seconds)
        return view_of(answer.json())

    async def _known(self, job_id: str, seconds: float) -> JobView | None:
        try:
            return await self._poll(job_id, seconds)
        except NotFound:
            return None

    async def _prepared(self, values: dict[str, object]) -> dict[str, object]:
        """A job as it is sent: its files kept at the door, checked in form, under an idempotency key."""
        tenant = values.get("tenant")
        for field in ("images", "mask"):
            if values.get(field) is not None:
                values[field] = await self._references(values[field], None if tenant is None else str(tenant), field)
        if values.get("idempotency_key") is None:
            values["idempotency_key"] = uuid.uuid4().hex
        return parse_job(values).model_dump(mode="json", exclude_defaults=True) | _said(values)

    async def _references(self, given: object, tenant: str | None, field: str) -> object:
        if isinstance(given, list | tuple):
            return [await self._references(one, tenant, f"{field}.{place}") for place, one in enumerate(given)]
        if isinstance(given, str) and given.startswith(KEPT_ELSEWHERE):
            return given
        return await self._kept(given, tenant, field) if isinstance(given, bytes | Path | str) else given

    @property
    def _wire(self) -> Wire:
        if self._opened is None:
            raise RuntimeError("the queue is not open; use it in an async with block")
        return self._opened


def _values(job: JobLike, fields: Mapping[str, object]) -> dict[str, object]:
    changed = with_fields(job, fields)
    if isinstance(changed, Job):
        return changed.model_dump(mode="json", exclude_defaults=True)
    return {"prompt": changed} if isinstance(changed, str) else dict(changed)


def _said(values: Mapping[str, object]) -> dict[str, object]:
    """A tenant that was named stands, also the default one: the key's own would be put in its place."""
    return {"tenant": values["tenant"]} if values.get("tenant") == DEFAULT_TENANT else {}


def _line(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def _read(image: Path | str, field: str) -> bytes:
    """The bytes of a file or of a data URL."""
    if isinstance(image, str) and image.startswith(DATA_URL):
        head, _, data = image.partition(",")
        try:
            return base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote_to_bytes(data)
        except ValueError as error:
            raise JobRefused(field, "a data URL with base64 is needed") from error
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise JobRefused(field, f"cannot read {image}: {error.strerror}") from error


def _id(job: JobId) -> str:
    return check_id(job.id if isinstance(job, JobHandle) else job)


def _filters(query: JobQuery) -> list[tuple[str, str]]:
    single = {"model": query.model, "priority": query.priority, "tenant": query.tenant, "after": query.after}
    return [
        *((name, value) for name, value in single.items() if value is not None),
        *(("status", status) for status in query.statuses),
        *(("tag", f"{key}={value}") for key, value in query.tags.items()),
        ("limit", str(query.limit)),
    ]
