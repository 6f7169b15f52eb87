"""The gate before each call: what stalled behind it comes out at the ceiling, not all at once."""

import asyncio
import time

import pytest

from imagequeue.worker.gate import Gate

INTERVAL_SECONDS = 0.002
BURST_SECONDS = 0.01


async def _passages(images: list[int], stall_seconds: float) -> list[tuple[float, int]]:
    """Let jobs through one gate while the event loop stands still in the middle; return when each passed."""
    loop = asyncio.get_running_loop()
    gate = Gate(interval_seconds=INTERVAL_SECONDS, burst_seconds=BURST_SECONDS, now=loop.time)
    passed: list[tuple[float, int]] = []

    async def one(n: int) -> None:
        await gate.passed(n)
        passed.append((loop.time(), n))

    tasks = [asyncio.create_task(one(n)) for n in images]
    await asyncio.sleep(0.01)
    time.sleep(stall_seconds)  # noqa: ASYNC251 - a loop that stands still is the case
    await asyncio.gather(*tasks)
    return passed


@pytest.mark.parametrize("images", [[1] * 60, [1, 4, 10, 1] * 5], ids=["single", "mixed"])
def test_no_window_holds_more_than_burst_and_rate(images: list[int]) -> None:
    """In every window of t seconds at most burst + t at the ceiling pass, also right after a stall."""
    passed = asyncio.run(_passages(images, stall_seconds=0.06))
    assert [n for _, n in passed] == images  # first come, first served
    for i, (start, _) in enumerate(passed):
        for j in range(i, len(passed)):
            within = sum(
                n for _, n in passed[i + 1 : j + 1]
            )  # the first may have emptied a full bucket, or be a large one
            allowed = (passed[j][0] - start + BURST_SECONDS) / INTERVAL_SECONDS + max(images)
            assert within <= allowed + 1e-6


def test_a_stopped_job_gives_its_turn_away() -> None:
    """A cancelled waiter costs no permit and keeps nobody waiting."""

    async def scene() -> float:
        loop = asyncio.get_running_loop()
        gate = Gate(interval_seconds=0.05, burst_seconds=0.05, now=loop.time)
        await gate.passed(1)
        begun = loop.time()
        stopped = [asyncio.create_task(gate.passed(1)) for _ in range(20)]
        last = asyncio.create_task(gate.passed(1))
        await asyncio.sleep(0)
        for task in stopped:
            task.cancel()
        await last
        return loop.time() - begun

    assert asyncio.run(scene()) < 20 * 0.05
