"""Waiting for a job whose sketches are shown: they come one by one, its end comes last."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import Final

from imagequeue.queue.sketches import Listening
from imagequeue.queue.views import JobView

HEAR_SECONDS: Final = 5.0
LATE_SECONDS: Final = 0.05
"""How long a sketch may be on its way when the end is known already."""


async def until_ended(listening: Listening, ended: Awaitable[JobView]) -> AsyncGenerator[bytes | JobView, None]:
    """Yield each sketch's event as it comes, and the job's view when it has ended; raises what `ended` raises."""
    ending = asyncio.ensure_future(ended)
    hearing = asyncio.ensure_future(listening.heard(HEAR_SECONDS))
    try:
        while not ending.done() or hearing.done():
            await asyncio.wait({ending, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                await asyncio.wait({hearing}, timeout=LATE_SECONDS)
            if hearing.done():
                sketch = hearing.result()
                hearing = asyncio.ensure_future(listening.heard(HEAR_SECONDS))
                if sketch is not None:
                    yield sketch
        yield await ending
    finally:
        for task in (ending, hearing):
            task.cancel()
        await asyncio.gather(ending, hearing, return_exceptions=True)
