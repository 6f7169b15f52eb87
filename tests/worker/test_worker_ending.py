"""A worker that ends is held up by none of its loops."""

import asyncio

from imagequeue.worker.stopping import end_tasks

SWALLOWED = 2


async def stubborn(swallowed: list[int]) -> None:
    """Take the first cancellations for something else, as a client library does with a timeout of its own."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            swallowed.append(1)
            if len(swallowed) > SWALLOWED:
                raise


def test_a_loop_that_swallows_a_cancellation_is_cancelled_again() -> None:
    async def ended() -> tuple[int, bool]:
        swallowed: list[int] = []
        task = asyncio.create_task(stubborn(swallowed))
        await asyncio.sleep(0)
        await end_tasks([task])
        return len(swallowed), task.cancelled()

    assert asyncio.run(ended()) == (SWALLOWED + 1, True)


def test_nothing_to_end_is_at_once_over() -> None:
    asyncio.run(end_tasks([]))
