"""Single jobs of many requests are queued together, and each request gets its own answer."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.config.errors import IdempotencyConflict, QueueUnavailable
from imagequeue.config.job import Job
from imagequeue.producer.client import AsyncImageQueue, JobHandle
from imagequeue.producer.door.gathering import Gathering
from imagequeue.queue.entries import BATCH_MAX, Entry


class CountingQueue:
    """A client that keeps what it was sent, and fails when told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[list[str]] = []
        self.error = error

    async def submit_batch(self, entries: Sequence[Entry]) -> list[JobHandle]:
        """Note the batch and answer for each."""
        self.batches.append([entry.id for entry in entries])
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return [JobHandle(id=entry.id) for entry in entries]


def entry(number: int, key: str | None = None) -> Entry:
    return Entry(id=f"job-{number}", job=Job(prompt="x", model="dall-e-3", idempotency_key=key))


def gathered(queue: CountingQueue, entries: Sequence[Entry]) -> list[JobHandle | BaseException]:
    async def run() -> list[JobHandle | BaseException]:
        gathering = Gathering(cast("AsyncImageQueue", queue))
        return await asyncio.gather(*(gathering.submit(one) for one in entries), return_exceptions=True)

    return asyncio.run(run())


@given(st.integers(1, 8), st.sampled_from([0, BATCH_MAX - 2, 2 * BATCH_MAX]))
def test_each_request_gets_its_own_job_and_each_job_is_sent_once(few: int, more: int) -> None:
    queue, count = CountingQueue(), few + more
    handles = gathered(queue, [entry(number) for number in range(count)])
    assert [handle.id for handle in handles if isinstance(handle, JobHandle)] == [f"job-{n}" for n in range(count)]
    assert sorted(name for batch in queue.batches for name in batch) == sorted(f"job-{n}" for n in range(count))
    assert all(len(batch) <= BATCH_MAX for batch in queue.batches)
    assert len(queue.batches) == -(-count // BATCH_MAX)


def test_a_job_with_an_idempotency_key_is_sent_by_itself() -> None:
    queue = CountingQueue()
    gathered(queue, [entry(1), entry(2, "k"), entry(3)])
    assert sorted(queue.batches) == [["job-1", "job-3"], ["job-2"]]


@pytest.mark.parametrize(
    "error", [QueueUnavailable("away"), IdempotencyConflict("another body"), RuntimeError("fault")]
)
def test_an_error_reaches_all_that_were_sent_and_none_after(error: Exception) -> None:
    queue = CountingQueue(error)
    assert gathered(queue, [entry(1), entry(2)]) == [error, error]
    queue.error = None
    assert gathered(queue, [entry(3)]) == [JobHandle(id="job-3")]


def test_a_request_that_is_gone_does_not_harm_the_others() -> None:
    async def run() -> JobHandle:
        gathering = Gathering(cast("AsyncImageQueue", CountingQueue()))
        gone = asyncio.create_task(gathering.submit(entry(1)))
        stays = asyncio.create_task(gathering.submit(entry(2)))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(run()) == JobHandle(id="job-2")
