"""The tasks of the claims being worked on: none is forgotten, also not that of an earlier delivery of a job."""

import asyncio

from imagequeue.worker.engine import Flight


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
