"""Batches are sent in order, one ahead, and the failure of one stops the rest."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from imagequeue.config.job import Job
from imagequeue.producer.bulk import AHEAD_MAX, send_in_batches
from imagequeue.queue.entries import BATCH_MAX, Entry


def entries(count: int) -> list[Entry]:
    return [Entry(id=f"{number}", job=Job(prompt="x", model="dall-e-3")) for number in range(count)]


def test_answers_come_in_order_and_few_batches_are_under_way() -> None:
    under_way: list[int] = [0]
    most: list[int] = [0]

    async def send(batch: Sequence[Entry]) -> list[str]:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        await asyncio.sleep(0)
        under_way[0] -= 1
        return [entry.id for entry in batch]

    async def play() -> list[str]:
        return [answer async for batch in send_in_batches(entries(2_300), send) for answer in batch]

    assert asyncio.run(play()) == [f"{number}" for number in range(2_300)]
    assert most[0] <= AHEAD_MAX


def test_after_a_failure_at_most_one_more_batch_is_sent() -> None:
    sent: list[str] = []

    async def send(batch: Sequence[Entry]) -> list[str]:
        sent.append(batch[0].id)
        if batch[0].id == f"{BATCH_MAX}":
            raise RuntimeError("lost")
        return []

    async def play() -> None:
        async with aclosing(send_in_batches(entries(10 * BATCH_MAX), send)) as batches:
            async for _ in batches:
                pass

    with pytest.raises(RuntimeError, match="lost"):
        asyncio.run(play())
    assert len(sent) <= 3
