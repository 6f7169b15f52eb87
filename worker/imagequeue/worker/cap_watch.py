"""Tells in the log which caps are used to 50, 80 and 100 %: each warning once, by whichever worker sees it first."""

import asyncio
import random
from datetime import timedelta
from typing import Final

import structlog
from redis.exceptions import RedisError

from imagequeue.config.clock import Clock
from imagequeue.config.errors import ImageQueueError
from imagequeue.config.money import format_usd
from imagequeue.ledger.cap_report import CapWarning
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.scripts import TROUBLE, Scripts

LOOK_SECONDS: Final = 10.0
OVERLAP: Final = timedelta(hours=1)
"""How far back each look goes: a warning bears the time of the machine that noted it."""
REMEMBERED_SECONDS: Final = 86_400
"""How long it is known that a warning was told: far longer than a look goes back."""

log = structlog.get_logger("imagequeue.worker")


class CapWatch:
    """Looks now and then for warnings that nobody told of."""

    def __init__(self, *, ledger: Ledger, scripts: Scripts, clock: Clock) -> None:
        self._ledger = ledger
        self._scripts = scripts
        self._clock = clock

    async def run(self) -> None:
        """Look for ever; what fails is tried again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS * (0.5 + random.random()))  # noqa: S311 - spread, not a secret
            try:
                await self.look()
            except (ImageQueueError, RedisError, *TROUBLE) as error:
                log.warning("warnings of caps cannot be read", error=str(error))

    async def look(self) -> int:
        """Log the warnings of the last hour that no worker has logged; return how many."""
        told = 0
        for one in await self._ledger.cap_warnings(self._clock.now() - OVERLAP):
            if await self._is_first(one):
                used, limit = format_usd(one.used_nano), format_usd(one.limit_nano)
                log.warning("a cap is used", cap=one.scope, percent=one.percent, used_usd=used, limit_usd=limit)
                told += 1
        return told

    async def _is_first(self, one: CapWarning) -> bool:
        key = f"{self._scripts.keys.own}:cap-told:{one.scope}|{one.kind}|{one.limit_nano}|{one.percent}"
        return bool(await self._scripts.redis.set(key, "1", nx=True, ex=REMEMBERED_SECONDS))
