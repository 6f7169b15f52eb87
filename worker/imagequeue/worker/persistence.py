"""Trying again until a part we depend on answers: for steps that must not be skipped once money has moved."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from imagequeue.config.errors import Unavailable
from imagequeue.worker.health import Health

Value = TypeVar("Value")

PAUSE_SECONDS_FIRST = 0.05
PAUSE_SECONDS_MAX = 2.0


async def until_done(health: Health, part: str, step: Callable[[], Awaitable[Value]]) -> Value:
    """Return what `step` gives, tried again for as long as the part is unavailable.

    Bounded from outside: the task is cancelled when the worker's drain ends. Meanwhile the part counts as failing, so
    that nothing new is claimed.
    """
    pause_seconds = PAUSE_SECONDS_FIRST
    while True:
        try:
            value = await step()
        except Unavailable as error:
            health.fails(part, str(error))
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, PAUSE_SECONDS_MAX)
        else:
            health.works(part)
            return value
