"""Reconciles with the provider's bill by itself: every day of every organization that has an admin key.

Any number of workers may run this; the ledger gives each day to one of them at a time.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from imagequeue.config.clock import Clock
from imagequeue.config.errors import ImageQueueError
from imagequeue.config.money import format_usd
from imagequeue.config.orgs import Org
from imagequeue.ledger.bill import Bill
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.reconciliations import active_days, claim_day, note_done, note_failed, since_day, states
from imagequeue.ledger.reconciling import DayReport, is_complete, reconcile_day
from imagequeue.ledger.schedule import due_days

LOOK_SECONDS: Final = 300.0
RECONCILE_SECONDS_MAX: Final = 300.0
"""The deadline of one day's reconciliation, and how long the day is its worker's."""

FetchBill = Callable[[Org, str], Awaitable[Bill]]

log = structlog.get_logger("imagequeue.worker")


class Reconciler:
    """Looks now and then whether a day of an organization is due."""

    def __init__(self, *, ledger: Ledger, orgs: Sequence[Org], clock: Clock, fetch: FetchBill) -> None:
        self._ledger = ledger
        self._orgs = [org for org in orgs if org.admin_key is not None]
        self._clock = clock
        self._fetch = fetch

    async def run(self) -> None:
        """Look for ever; what fails is noted and tried again."""
        while self._orgs:
            # Spread, so that the workers of a cluster do not all look in the same second.
            await asyncio.sleep(LOOK_SECONDS * (0.5 + random.random()))  # noqa: S311 - spread, not a secret
            try:
                await self.look()
            except ImageQueueError as error:
                log.warning("reconciliation cannot look at the ledger", error=str(error))

    async def look(self) -> list[DayReport]:
        """Reconcile every day that is due and nobody else's; return the reports."""
        reports = []
        for org in self._orgs:
            for day in await self._due(org):
                if await claim_day(self._ledger, org.name, day, RECONCILE_SECONDS_MAX):
                    report = await self._reconcile(org, day)
                    reports += [] if report is None else [report]
        return reports

    async def _due(self, org: Org) -> list[str]:
        now = self._clock.now()
        since = since_day(now)
        known = await self._ledger.read(lambda connection: states(connection, org.name, since))
        active = await self._ledger.read(lambda connection: active_days(connection, org.name, since))
        return due_days(active, {state.day: state.next_at for state in known}, now)

    async def _reconcile(self, org: Org, day: str) -> DayReport | None:
        try:
            async with asyncio.timeout(RECONCILE_SECONDS_MAX):
                complete = is_complete(day, self._clock.now())
                report = await reconcile_day(self._ledger, org, day, self._fetch, complete=complete)
                await note_done(self._ledger, report)
        except (ImageQueueError, TimeoutError) as error:
            reason = str(error) or f"no answer in {RECONCILE_SECONDS_MAX:.0f} s"
            log.warning("reconciliation failed", org=org.name, day=day, error=reason)
            await note_failed(self._ledger, org.name, day, reason)
            return None
        log.info(
            "reconciled",
            org=org.name,
            day=day,
            booked=len(report.booked),
            in_doubt=report.in_doubt,
            unexplained_usd=format_usd(report.unexplained_nano),
            warning=report.warning,
        )
        return report
