"""The Python client over HTTP against a real door: the same methods, values and errors as over Redis."""

import asyncio
import base64
import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from door_stack import Stack, submit
from door_tenants import png

from imagequeue.config.errors import (
    ConfigError,
    IdempotencyConflict,
    ImageQueueError,
    JobRefused,
    NotAllowed,
    NotFound,
    Unavailable,
)
from imagequeue.producer import AsyncHttpImageQueue, AsyncImageQueue, ImageQueue, JobQuery
from imagequeue.producer.http_views import BadAnswer, view_of
from imagequeue.queue.acts import NotPossible

pytestmark = pytest.mark.xdist_group("door")

LATER = "2999-01-01T00:00:00Z"
MODEL = "dall-e-3"
DEADLINE_SECONDS = 30.0

Story = Callable[[AsyncHttpImageQueue], Awaitable[None]]


def tell(stack: Stack, story: Story, who: str | None = None, transport: httpx.AsyncBaseTransport | None = None) -> None:
    """Run a story with a client of the open door, or behind keys as `who`."""
    url, key = (stack.open_url, None) if who is None else (stack.url, stack.tokens[who])

    async def told() -> None:
        async with AsyncHttpImageQueue(url, key, deadline_seconds=DEADLINE_SECONDS, transport=transport) as queue:
            await story(queue)

    asyncio.run(told())


class LosesReplies(httpx.AsyncHTTPTransport):
    """Lets every request reach the door, and loses so many answers."""

    def __init__(self, lost: int) -> None:
        super().__init__()
        self.lost = lost

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the door; then act as if the connection broke."""
        response = await super().handle_async_request(request)
        if self.lost == 0:
            return response
        self.lost -= 1
        await response.aread()
        await response.aclose()
        raise httpx.ReadError("connection reset by peer", request=request)


def test_a_job_is_submitted_waited_for_and_its_image_fetched(stack: Stack) -> None:
    async def story(queue: AsyncHttpImageQueue) -> None:
        handle = await queue.submit("a lighthouse", model=MODEL, tags={"order": "7"}, tenant="red")
        assert handle.created
        view = await queue.wait(handle, timeout=30)
        assert (view.status, view.job["tags"], view.job["tenant"]) == ("succeeded", {"order": "7"}, "red")
        assert view.outcome is not None
        assert view.outcome.cost is not None
        assert (view.outcome.cost.usd_nano, view.usd_nano) == (40_000_000, 40_000_000)
        assert [attempt.state for attempt in view.attempts] == ["settled"]
        data = await queue.image(view.images[0])
        assert hashlib.sha256(data).hexdigest() == view.images[0].record.sha256
        assert (await queue.keep(handle)).note == "kept all images"
        assert (await queue.get(handle.id)).as_json() == view.as_json()

    tell(stack, story, "red")


def test_over_redis_and_over_http_a_job_looks_the_same(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(queue: AsyncHttpImageQueue) -> None:
        view = await queue.wait(await queue.submit("a lighthouse", model=MODEL), timeout=30)
        for name, value in stack.environ.items():
            monkeypatch.setenv(name, value)
        async with AsyncImageQueue() as direct:
            other = await direct.get(view.id)
            assert await direct.image(view.images[0]) == await queue.image(view.images[0])
        mine, theirs = view.as_json(), other.as_json()
        for shown in (mine, theirs):
            for image in shown["images"]:  # type: ignore[attr-defined]  # a list
                del image["url"]
        assert mine == theirs

    tell(stack, story)


def test_many_jobs_are_streamed_and_their_handles_are_in_order_though_replies_are_lost(stack: Stack) -> None:
    """Sent three times, queued once: each has an idempotency key."""
    mark = uuid4().hex[:12]

    async def story(queue: AsyncHttpImageQueue) -> None:
        jobs = [
            {"prompt": f"{number}", "model": MODEL, "not_before": LATER, "tags": {"m": mark}} for number in range(1200)
        ]
        handles = await queue.submit_many(jobs)
        assert len({handle.id for handle in handles}) == 1200
        page = await queue.list_jobs(JobQuery(tags={"m": mark}, limit=1000))
        rest = await queue.list_jobs(JobQuery(tags={"m": mark}, limit=1000, after=page.next))
        assert len(page.jobs) + len(rest.jobs) == 1200
        assert (await queue.get(handles[7])).job["prompt"] == "7"
        single = await queue.submit("x", model=MODEL, not_before=LATER)
        assert (await queue.get(single)).status == "waiting"

    tell(stack, story, transport=LosesReplies(2))


def test_jobs_come_as_they_complete_and_unknown_ones_are_left_out(stack: Stack) -> None:
    async def story(queue: AsyncHttpImageQueue) -> None:
        handles = await queue.submit_many([{"prompt": f"{number}", "model": MODEL} for number in range(40)])
        done = [view.id async for view in queue.as_completed([*handles, "nobody-knows-me"], timeout=60)]
        assert sorted(done) == sorted(handle.id for handle in handles)

    tell(stack, story)


def test_with_a_tenants_key_what_is_not_of_the_tenant_is_not_found(stack: Stack) -> None:
    """Whether it is another's or nobody's, which the door does not always tell; both are left out of many."""
    with stack.client("blue") as blue:
        anothers = submit(blue, not_before=LATER)

    async def story(queue: AsyncHttpImageQueue) -> None:
        own = await queue.submit("x", model=MODEL)
        done = [view.id async for view in queue.as_completed([own, anothers, "nobody-knows-me"], timeout=60)]
        assert done == [own.id]
        for job_id in (anothers, "nobody-knows-me"):
            with pytest.raises(NotFound, match="none of this id"):
                await queue.cancel(job_id)
        with pytest.raises(NotFound):
            await queue.image("0" * 64)

    tell(stack, story, "red")


def test_waiting_ends_with_its_timeout(stack: Stack) -> None:
    async def story(queue: AsyncHttpImageQueue) -> None:
        handle = await queue.submit("x", model=MODEL, not_before=LATER)
        with pytest.raises(TimeoutError):
            await queue.wait(handle, timeout=0.05)
        with pytest.raises(TimeoutError):
            await anext(queue.as_completed([handle], timeout=0.05))
        assert (await queue.cancel(handle)).changed
        assert (await queue.wait(handle, timeout=5)).status == "cancelled"
        assert (await queue.retry(handle, priority="high")).status == "queued"

    tell(stack, story)


def test_errors_are_those_of_the_client_over_redis(stack: Stack) -> None:
    async def story(queue: AsyncHttpImageQueue) -> None:
        with pytest.raises(JobRefused, match=r"^size: dall-e-3 does not take"):
            await queue.submit("x", model=MODEL, size="9x9")
        with pytest.raises(JobRefused, match=r"^line 2: size"):
            await queue.submit_many(
                [{"prompt": "x", "model": MODEL, "not_before": LATER, "size": s} for s in (None, "9x9")]
            )
        with pytest.raises(JobRefused, match=r"^promt: unknown field"):
            await queue.submit({"promt": "x"})
        with pytest.raises(NotFound):
            await queue.get("nobody-knows-me")
        with pytest.raises(NotFound):
            await queue.wait("nobody-knows-me")
        with pytest.raises(NotFound):
            await queue.image("0" * 64)
        key = uuid4().hex
        first = await queue.submit("x", model=MODEL, not_before=LATER, idempotency_key=key)
        again = await queue.submit("x", model=MODEL, not_before=LATER, idempotency_key=key)
        assert (again.id, again.created) == (first.id, False)
        with pytest.raises(IdempotencyConflict):
            await queue.submit("y", model=MODEL, not_before=LATER, idempotency_key=key)
        done = await queue.wait(await queue.submit("x", model=MODEL), timeout=30)
        with pytest.raises(NotPossible):
            await queue.retry(done.id)

    tell(stack, story)


def test_a_key_opens_what_it_may_and_nothing_else(stack: Stack) -> None:
    async def story(queue: AsyncHttpImageQueue) -> None:
        handle = await queue.submit("x", model=MODEL, not_before=LATER)
        with pytest.raises(NotAllowed):
            await queue.get(handle)
        async with AsyncHttpImageQueue(stack.url, "iq_nonsense") as stranger:
            with pytest.raises(NotAllowed, match="unknown"):
                await stranger.submit("x")

    tell(stack, story, "submitter")


def test_a_door_that_is_not_there_is_said_so_within_the_deadline() -> None:
    async def story() -> None:
        async with AsyncImageQueue.over_http("http://127.0.0.1:9", deadline_seconds=0.3) as queue:
            started = time.monotonic()
            with pytest.raises(Unavailable, match=r"the door at http://127\.0\.0\.1:9: ConnectError"):
                await queue.submit("x")
            assert time.monotonic() - started < 20

    asyncio.run(story())


@pytest.mark.parametrize("key", ["", " ", "iq_a b", "iq_\u00e9", "iq_a\nb"])
def test_what_can_be_no_key_is_refused_at_once_and_not_told(key: str) -> None:
    """A broken key was sent until the deadline, and the error held it."""

    async def play() -> None:
        with pytest.raises(ConfigError) as refused:
            async with AsyncImageQueue.over_http("http://127.0.0.1:9", api_key=key):
                pass
        assert str(refused.value) == "api_key: a key as `imagequeue keys create` prints it is needed, or None"

    asyncio.run(play())


def test_a_key_read_from_a_file_may_end_its_line(stack: Stack) -> None:
    with ImageQueue.over_http(stack.url, f"{stack.tokens['red']}\n") as queue:
        assert queue.list_jobs(JobQuery(limit=1)).jobs is not None


def test_with_a_tenants_key_an_image_is_kept_for_that_tenant_also_without_async(stack: Stack) -> None:
    with ImageQueue.over_http(stack.url, stack.tokens["red"]) as queue:
        reference = queue.upload(png())
        handle = queue.submit("x", model="gpt-image-2", operation="edit", images=[reference], not_before=LATER)
        assert queue.get(handle).job["tenant"] == "red"
        with pytest.raises(JobRefused, match="job: a prompt, a Job or an object of its fields is needed"):
            queue.submit(None)  # type: ignore[arg-type]  # what a caller without types may send
        with pytest.raises(JobRefused, match="image: 5 bytes of no known image format"):
            queue.upload(b"hello")
        with pytest.raises(JobRefused, match="image: cannot read"):
            queue.upload("/nowhere.png")


def test_a_key_that_is_said_to_be_none_is_made(stack: Stack) -> None:
    """Without one a request whose answer was lost would queue its job twice."""
    with ImageQueue.over_http(stack.open_url) as queue:
        view = queue.get(queue.submit("x", model=MODEL, not_before=LATER, idempotency_key=None))
        assert view.id[12] == "8"  # made of a key


def test_what_is_no_door_is_noticed() -> None:
    with pytest.raises(ConfigError, match="url"):
        AsyncHttpImageQueue("localhost:8080")._make()
    for nonsense in ({}, {"jobs": 3}, [], None):
        with pytest.raises(BadAnswer):
            view_of(nonsense)
    assert issubclass(BadAnswer, ImageQueueError)


def test_threads_use_it_without_async(stack: Stack) -> None:
    with ImageQueue.over_http(stack.open_url) as queue:
        handles = queue.submit_many(["a fox", "a hare"])
        views = list(queue.as_completed(handles, timeout=60))
        assert sorted(view.id for view in views) == sorted(handle.id for handle in handles)
        done = queue.wait(queue.submit("an owl", model=MODEL), timeout=30)
        assert len(queue.image(done.images[0])) == done.images[0].record.bytes
        with pytest.raises(NotPossible, match="status"):
            queue.status()


def test_input_images_are_kept_at_the_door(stack: Stack, tmp_path: Path) -> None:
    async def story(queue: AsyncHttpImageQueue) -> None:
        done = await queue.wait(await queue.submit("x", model=MODEL), timeout=30)
        data = await queue.image(done.images[0])
        assert await queue.upload(data) == f"sha256:{done.images[0].record.sha256}"
        path = tmp_path / "image.png"
        path.write_bytes(data)
        as_data_url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        for same in (path, str(path), as_data_url):
            assert await queue.upload(same) == f"sha256:{done.images[0].record.sha256}"
        edit = await queue.submit(
            "the fox wears a hat", model="gpt-image-2", operation="edit", images=[str(path)], not_before=LATER
        )
        assert (await queue.get(edit)).job["images"] == [f"sha256:{done.images[0].record.sha256}"]
        for bad in (b"no image", tmp_path / "nothing.png", "data:image/png;base64,!"):
            with pytest.raises(JobRefused):
                await queue.upload(bad)

    tell(stack, story)
