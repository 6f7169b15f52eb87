"""The claims being worked on: none is forgotten; a burst is not over while a job may come back."""

import asyncio

from imagequeue.queue.claims import ClaimAnswer
from imagequeue.worker.engine import Engine, Flight


def test_an_overtaken_delivery_is_still_waited_for() -> None:
    async def story() -> None:
        flight, hold = Flight(), asyncio.Event()

        async def live() -> None:
            await hold.wait()

        earlier, later = asyncio.create_task(live()), asyncio.create_task(live())
        flight.add("one", earlier)
        flight.add("one", later)
        assert set(flight.all()) == {earlier, later}
        assert flight.tasks == {"one": later}
        earlier.cancel()
        await asyncio.wait({earlier})
        await asyncio.sleep(0)
        assert flight.all() == [later]
        hold.set()
        await later
        await asyncio.sleep(0)
        assert flight.all() == []
        assert flight.landed.is_set()

    asyncio.run(story())


def test_a_burst_is_over_only_after_a_second_look() -> None:
    """A reaper may put jobs back in line between the claim that found nothing and the count that finds nothing."""

    async def story() -> None:
        counts = [0, 0, 0, 3, 0, 0]
        engine = object.__new__(Engine)
        engine.flight, engine._was_over = Flight(), False

        async def pending() -> int:
            return counts.pop(0)

        engine._pending = pending
        nothing = ClaimAnswer(now_us=1, wait_us=None, suspended=False, foreign=(), claims=())
        waiting = ClaimAnswer(now_us=1, wait_us=5, suspended=False, foreign=(), claims=())
        looks = [nothing, waiting, nothing, nothing]
        assert [await engine._is_over(look) for look in looks] == [False, False, False, True]
        assert [await engine._is_over(nothing) for _ in range(3)] == [False, False, True]

    asyncio.run(story())
