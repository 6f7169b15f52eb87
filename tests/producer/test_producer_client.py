"""The client: what is submitted is queued once, what cannot be done is refused by name, from tasks and from threads."""

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from imagequeue.config.catalog import load_catalog
from imagequeue.config.errors import ConfigError, IdempotencyConflict, JobRefused, QueueUnavailable
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings
from imagequeue.producer import AsyncImageQueue, ImageQueue, JobQuery
from imagequeue.producer.admission import Admission


def test_a_prompt_a_job_and_an_object_are_queued_with_their_model_decided(settings: Settings) -> None:
    with ImageQueue(settings) as queue:
        handles = [
            queue.submit("a fox", priority="high"),
            queue.submit(Job(prompt="a fox"), n=1),
            queue.submit({"prompt": "a fox", "tags": {"a": "b"}}),
        ]
        views = [queue.get(handle) for handle in handles]
        assert [view.job["model"] for view in views] == ["dall-e-3"] * 3
        assert [view.job["priority"] for view in views] == ["high", "default", "default"]
        assert all(handle.created for handle in handles)


def test_the_same_key_and_body_are_queued_once_and_another_body_is_a_conflict(settings: Settings) -> None:
    with ImageQueue(settings) as queue:
        first = queue.submit("a fox", idempotency_key="k")
        again = queue.submit("a fox", idempotency_key="k")
        assert (again.id, again.created) == (first.id, False)
        with pytest.raises(IdempotencyConflict, match="idempotency_key"):
            queue.submit("a hare", idempotency_key="k")
        assert queue.submit("a hare", idempotency_key="k", tenant="shop").created
        assert queue.status().totals.queued == 2


def test_the_default_of_cache_is_applied(settings: Settings) -> None:
    admission = Admission(settings.model_copy(update={"cache": "use"}), load_catalog(), lambda: date(2026, 11, 22))
    assert admission.entry(Job(prompt="x")).job.cache == "use"
    assert admission.entry(Job(prompt="x", cache="off")).job.cache == "off"


def test_an_app_without_organizations_gets_the_first_model_that_is_not_retired(settings: Settings) -> None:
    admission = Admission(settings.model_copy(update={"orgs": ()}), load_catalog(), lambda: date(2026, 11, 22))
    assert admission.entry(Job(prompt="x")).job.model == "gpt-image-2"


def test_one_bad_job_of_many_keeps_all_from_the_queue(settings: Settings) -> None:
    with ImageQueue(settings) as queue:
        with pytest.raises(JobRefused, match="size"):
            queue.submit_many([*({"prompt": "x"} for _ in range(600)), {"prompt": "x", "size": "9x9"}])
        assert queue.status().totals.queued == 0


def test_many_jobs_keep_their_order(settings: Settings) -> None:
    async def play() -> None:
        async with AsyncImageQueue(settings) as queue:
            handles = await queue.submit_many({"prompt": f"{number}"} for number in range(1200))
            page = await queue.list_jobs(JobQuery(limit=3))
            assert [view.id for view in page.jobs] == [handle.id for handle in handles[:-4:-1]]
            assert len({handle.id for handle in handles}) == 1200

    asyncio.run(play())


def test_threads_share_one_client(settings: Settings) -> None:
    with ImageQueue(settings) as queue, ThreadPoolExecutor(4) as threads:
        handles = list(threads.map(lambda number: queue.submit(f"job {number}"), range(20)))
        assert len({handle.id for handle in handles}) == 20
        assert queue.status().totals.queued == 20


def test_as_completed_gives_its_connection_back_when_left_early(settings: Settings) -> None:
    with ImageQueue(settings) as queue:
        handles = queue.submit_many(["a", "b"])
        for handle in handles:
            queue.cancel(handle)
        for view in queue.as_completed(handles, 5):
            assert view.status == "cancelled"
            break
        gc.collect()
        assert [view.status for view in queue.as_completed(handles, 5)] == ["cancelled", "cancelled"]


def test_a_client_that_cannot_open_says_so_and_can_be_used_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = ImageQueue()
    monkeypatch.setenv("IMAGEQUEUE_PACE_FRACTION", "2")
    with pytest.raises(ConfigError, match="IMAGEQUEUE_PACE_FRACTION"):
        queue.submit("x")
    monkeypatch.delenv("IMAGEQUEUE_PACE_FRACTION")
    with queue:
        assert queue.submit("x").created


def test_a_server_that_is_away_is_named_as_such(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEQUEUE_REDIS_URL", "redis://127.0.0.1:1/0")
    with ImageQueue() as queue:
        with pytest.raises(QueueUnavailable):
            queue.submit("x")
        with pytest.raises(QueueUnavailable):
            queue.status()
        with pytest.raises(QueueUnavailable):
            queue.get("x")


def test_a_closed_client_is_a_mistake_of_the_caller(settings: Settings) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(AsyncImageQueue(settings).submit("x"))


def test_a_priority_that_is_none_is_refused_and_moves_no_job(settings: Settings) -> None:
    """On a queue that no worker serves a job would wait for ever."""
    with ImageQueue(settings) as queue:
        handle = queue.submit("a cat")
        queue.cancel(handle)
        for act in (queue.retry, queue.prioritize):
            with pytest.raises(JobRefused, match="priority: accepted: high, default, low"):
                act(handle, priority="urgent")  # type: ignore[operator]  # what a caller without types may send
        assert queue.get(handle).status == "cancelled"
        assert {row.priority for row in queue.status().queues} <= {"high", "default", "low"}


def test_what_is_no_job_and_no_image_is_refused_by_name(settings: Settings) -> None:
    with ImageQueue(settings) as queue:
        for nothing in (None, 5, ["a cat"], b"a cat"):
            with pytest.raises(JobRefused, match="job: a prompt, a Job or an object of its fields is needed"):
                queue.submit(nothing)  # type: ignore[arg-type]  # as above
            with pytest.raises(JobRefused, match="job: a prompt, a Job"):
                queue.submit(nothing, priority="high")  # type: ignore[arg-type]  # as above
        with pytest.raises(JobRefused, match="image: 5 bytes of no known image format"):
            queue.upload(b"hello")
