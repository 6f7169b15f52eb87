"""How often each key may ask: a bucket of one minute's requests for each, in Redis and on its clock, for all doors.

Keys without a rate cost nothing. What the requests of one turn of the event loop take goes to the server in one trip.
"""

from typing import Final

from imagequeue.producer.door.access import Caller
from imagequeue.producer.door.problems import too_many
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.together import Together

MINUTE_US: Final = 60_000_000


class Rates:
    """Counts requests by key; QueueUnavailable when Redis does not answer, and then nobody with a rate is let in."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = Together(scripts)

    async def take(self, caller: Caller) -> None:
        """Count one request; Problem 429 says when there is room for it."""
        wait_us = await self._charge(caller, 1, let_in=False)
        if wait_us > 0 and caller.key is not None:
            message = f"this key may send {caller.key.requests_per_minute} requests a minute"
            raise too_many(message, wait_us / 1_000_000)

    async def charge(self, caller: Caller, requests: int) -> None:
        """Count a request that was let in and holds many jobs as that many requests."""
        if requests > 1:
            await self._charge(caller, requests - 1, let_in=True)

    async def _charge(self, caller: Caller, requests: int, *, let_in: bool) -> int:
        if caller.key is None or caller.key.requests_per_minute is None:
            return 0
        interval_us = MINUTE_US / caller.key.requests_per_minute
        return int(await self._scripts.run("charge", [caller.key.id, interval_us, requests, int(let_in)]))
