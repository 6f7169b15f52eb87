"""Delivers what the outbox holds: takes messages that are due, sends them, notes what became of them.

A message is taken for a lease, so that no two workers send it at once, and comes back when its worker dies. Jobs never
wait for any of this: it has its own bounds, and the ledger that both share is asked cheaply first.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

import structlog

from imagequeue.config.clock import Clock
from imagequeue.config.errors import Unavailable
from imagequeue.config.webhooks import Webhook, endpoint_of
from imagequeue.ledger.api import WebhookRow
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue import endpoints
from imagequeue.queue.scripts import Scripts
from imagequeue.worker.redelivery import Arrived, Failed, next_try
from imagequeue.worker.sender import Sender, message_id

POLL_SECONDS: Final = 0.5
IN_FLIGHT_MAX: Final = 64
IN_FLIGHT_PER_URL_MAX: Final = 16
"""So that a receiver that never answers does not hold up the messages to others."""
CLAIM_BATCH_MAX: Final = 16
PAUSED_URLS_MAX: Final = 10_000
FLUSH_SECONDS_MAX: Final = 30.0
KEEP_DAYS: Final = 30
"""Messages that arrived or were given up are kept for so long, to be shown and sent again."""
PURGE_SECONDS: Final = 3600.0

log = structlog.get_logger("imagequeue.webhooks")


def lease_seconds(timeout_seconds: float) -> float:
    """Return for how long a message is taken: its delivery, and the note of what became of it."""
    return timeout_seconds * 1.5 + 2


class Outbox:
    """One worker's part in delivering. `run` goes on until its task is cancelled."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        scripts: Scripts,
        sender: Sender,
        configured: Sequence[Webhook],
        clock: Clock,
        timeout_seconds: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._ledger = ledger
        self._scripts = scripts
        self._sender = sender
        self._configured = configured
        self._clock = clock
        self._lease_seconds = lease_seconds(timeout_seconds)
        self._chance = chance
        self._tasks: set[asyncio.Task[None]] = set()
        self._taking: asyncio.Task[int] | None = None
        self._per_url: Counter[str] = Counter()
        self._paused: dict[str, float] = {}

    async def run(self) -> None:
        """Deliver what is due, again and again; nothing to do when no endpoint is configured."""
        this, purge_at = asyncio.current_task(), 0.0
        while self._configured and (this is None or not this.cancelling()):
            try:
                if self._now() >= purge_at:
                    purge_at = self._now() + PURGE_SECONDS
                    await self._ledger.purge_webhooks(self._clock.now() - timedelta(days=KEEP_DAYS))
                taken = await self._take_whole()
            except Unavailable as error:
                log.warning("webhooks wait", error=str(error))
                taken = 0
            if not taken:
                await asyncio.sleep(POLL_SECONDS * (0.75 + self._chance() / 2))

    async def take(self) -> int:
        """Begin the delivery of messages that are due; return of how many."""
        if not await self._room() or not await self._ledger.webhooks_due():
            return 0
        # Looked up before: taking a message counts as a try.
        states = await endpoints.read_endpoints(self._scripts, [endpoint.name for endpoint in self._configured])
        count = min(CLAIM_BATCH_MAX, IN_FLIGHT_MAX - len(self._tasks))
        rows = await self._ledger.claim_webhooks(count, self._lease_seconds, self._left_out())
        for row in rows:
            self._begin(row, states)
        return len(rows)

    async def flush(self) -> None:
        """Deliver all that is due now, for a worker that ends when its work is done."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS_MAX):
                await self._taken_to_the_end()
                while self._configured and (await self.take() or self._tasks):
                    if self._tasks:
                        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        except (TimeoutError, Unavailable) as error:
            log.warning("webhooks are left for other workers", error=str(error))

    async def finish(self, seconds: float) -> None:
        """Wait for deliveries in flight; those that last longer are begun again by others."""
        with suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(seconds):
                await self._taken_to_the_end()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _take_whole(self) -> int:
        """Take, though `run` be cancelled meanwhile: messages taken and not begun would wait for their lease's end."""
        self._taking = asyncio.create_task(self.take())
        return await asyncio.shield(self._taking)

    async def _taken_to_the_end(self) -> None:
        if self._taking is not None and not self._taking.done():
            await self._taking

    async def _room(self) -> bool:
        if len(self._tasks) >= IN_FLIGHT_MAX:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED, timeout=POLL_SECONDS)
        return len(self._tasks) < IN_FLIGHT_MAX

    def _left_out(self) -> list[str]:
        """Addresses that want a pause, or have enough deliveries on their way."""
        now = self._now()
        self._paused = {url: until for url, until in self._paused.items() if until > now}
        return [*self._paused, *(url for url, count in self._per_url.items() if count >= IN_FLIGHT_PER_URL_MAX)]

    def _begin(self, row: WebhookRow, states: dict[str, endpoints.EndpointState]) -> None:
        task = asyncio.create_task(self._deliver(row, states))
        self._tasks.add(task)
        self._per_url[row.url] += 1
        task.add_done_callback(lambda done: self._ended(row.url, done))

    def _ended(self, url: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._per_url[url] -= 1
        if self._per_url[url] <= 0:
            del self._per_url[url]

    async def _deliver(self, row: WebhookRow, states: dict[str, endpoints.EndpointState]) -> None:
        endpoint = endpoint_of(self._configured, row.url)
        try:
            try:
                await self._try(row, endpoint, states)
            except Unavailable:
                raise
            except Exception as error:  # what nobody foresaw fails this try, or it would be made again and again
                log.exception("a webhook broke off", message=message_id(row.webhook_id))
                await self._failed(row, endpoint, Failed(why=f"a fault inside: {type(error).__name__}: {error}"))
        except Unavailable as error:
            log.warning("a webhook will be sent again", message=message_id(row.webhook_id), error=str(error))

    async def _try(self, row: WebhookRow, endpoint: Webhook | None, states: dict[str, endpoints.EndpointState]) -> None:
        if endpoint is None:
            await self._failed(row, None, Failed(why="no configured endpoint has this address"))
        elif (state := states[endpoint.name]).disabled:
            await self._ledger.webhook_failed(row, f"the endpoint is disabled: {state.disabled_why}", None)
        else:
            await self._noted(row, endpoint, await self._sender.send(row, endpoint))

    async def _noted(self, row: WebhookRow, endpoint: Webhook, answer: Arrived | Failed) -> None:
        if isinstance(answer, Failed):
            await self._failed(row, endpoint, answer)
            return
        await self._ledger.webhook_delivered(row)
        await endpoints.note_delivered(self._scripts, endpoint.name, self._clock.now())

    async def _failed(self, row: WebhookRow, endpoint: Webhook | None, failed: Failed) -> None:
        now = self._clock.now()
        again = next_try(now, tries=row.tries, pause_seconds=failed.pause_seconds, chance=self._chance())
        again = None if failed.gone else again
        if failed.pause_seconds and len(self._paused) < PAUSED_URLS_MAX:
            self._paused[row.url] = self._now() + failed.pause_seconds
        log.warning(
            "a webhook failed", message=message_id(row.webhook_id), job=row.job_id, why=failed.why, tries=row.tries
        )
        if failed.gone and endpoint is not None:
            await endpoints.disable(self._scripts, endpoint.name, now, failed.why)
        await self._ledger.webhook_failed(row, failed.why, again)
        if endpoint is not None:
            name, given_up = endpoint.name, again is None
            await endpoints.note_failed(self._scripts, name, now, failed.why, given_up=given_up)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
