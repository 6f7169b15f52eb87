"""What can be read of the ledger: reports, statements, caps, outcomes. On connections that cannot write, in threads."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from imagequeue.config.clock import Clock
from imagequeue.config.errors import LedgerUnavailable
from imagequeue.ledger.api import (
    AttemptRow,
    ImageRecord,
    Outcome,
)
from imagequeue.ledger.audit import AuditReport, audit
from imagequeue.ledger.bill import Bill
from imagequeue.ledger.booked import booked_models
from imagequeue.ledger.cap_report import CapStatus, CapWarning, ConfiguredCap, cap_report, cap_warnings
from imagequeue.ledger.committer import one_line
from imagequeue.ledger.database import READERS_MAX
from imagequeue.ledger.images import owned_images
from imagequeue.ledger.outbox import OutboxFigures, OutboxQuery, WebhookMessage, any_due, figures, messages
from imagequeue.ledger.reads import attempts_in_doubt, attempts_of_jobs, grants_of, outcomes_of_jobs, wallet_of
from imagequeue.ledger.reconcile import DayReconciliation
from imagequeue.ledger.reconcile import reconcile as compare
from imagequeue.ledger.statement import Statement, month_statement
from imagequeue.ledger.summary import Summary, summarize
from imagequeue.ledger.wallet import GrantRow, Wallet

READ_SECONDS_MAX: Final = 300.0

Answer = TypeVar("Answer")


class Reports:
    """Everything that reads. Each method raises LedgerUnavailable when the database does not answer."""

    def __init__(self, reader: Engine, clock: Clock) -> None:
        self._clock = clock
        self._reader = reader
        self._readers = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="imagequeue-ledger-read")

    def close_reader(self) -> None:
        """Let the reading connections go."""
        self._readers.shutdown(wait=True)
        self._reader.dispose()

    async def caps(self, configured: Sequence[ConfiguredCap], tenant: str | None = None) -> tuple[CapStatus, ...]:
        """Return how far caps are used in their present period, and what they warned of; `tenant`: only of this one.

        Those that were set while workers run stand in the place of configured ones.
        """
        now = self._clock.now()
        return await self.read(lambda connection: cap_report(connection, configured, now, tenant))

    async def cap_warnings(self, since: datetime) -> tuple[CapWarning, ...]:
        """Return the warnings that caps gave from a moment on, oldest first."""
        return await self.read(lambda connection: cap_warnings(connection, since))

    async def grants(self, org: str | None = None) -> tuple[GrantRow, ...]:
        """Return the grants of credits of one organization, or of all, in the order of their use."""
        return await self.read(lambda connection: grants_of(connection, org))

    async def statement(self, month: str, tenant: str | None = None) -> Statement:
        """Return the statement of a calendar month, e.g. `2026-11`, of one tenant or of all."""
        return await self.read(lambda connection: month_statement(connection, month, tenant))

    def now(self) -> datetime:
        """Return the moment by the ledger's clock."""
        return self._clock.now()

    async def wallet(self, org: str) -> Wallet:
        """Return the credits that an organization can use now."""
        now = self._clock.now()
        return await self.read(lambda connection: wallet_of(connection, org, now))

    async def owned_images(self, tenant: str, sha256s: Collection[str]) -> dict[str, ImageRecord]:
        """Return those of at most 500 images that are the tenant's, by digest."""
        return await self.read(lambda connection: owned_images(connection, tenant, sha256s))

    async def webhooks(self, query: OutboxQuery) -> tuple[WebhookMessage, ...]:
        """Return messages of the outbox, newest first."""
        return await self.read(lambda connection: messages(connection, query))

    async def outbox(self) -> OutboxFigures:
        """Return how much of the outbox waits, failed and was given up."""
        now = self._clock.now()
        return await self.read(lambda connection: figures(connection, now))

    async def webhooks_due(self) -> bool:
        """Return whether a message is due; cheaper than to claim."""
        now = self._clock.now()
        return await self.read(lambda connection: any_due(connection, now))

    async def outcomes(self, job_ids: Iterable[str]) -> dict[str, Outcome]:
        """Return how those of the jobs ended that have ended."""
        wanted = list(job_ids)
        return await self.read(lambda connection: outcomes_of_jobs(connection, wanted))

    async def attempts(self, job_ids: Iterable[str]) -> Mapping[str, tuple[AttemptRow, ...]]:
        """Return the attempts of those of the jobs that have any, in order."""
        wanted = list(job_ids)
        return await self.read(lambda connection: attempts_of_jobs(connection, wanted))

    async def in_doubt(self, count: int = 100) -> tuple[AttemptRow, ...]:
        """Return the oldest attempts in doubt, which wait for `reconcile` or a person."""
        return await self.read(lambda connection: attempts_in_doubt(connection, count))

    async def reconcile(self, org: str, day: str, bill: Bill, *, complete: bool = True) -> DayReconciliation:
        """Return our books of an organization's UTC day beside the provider's bill; changes nothing.

        `complete` False: the bill may still grow, so what is not on it stays in doubt.
        """
        booked = await self.read(lambda connection: booked_models(connection, org, day))
        return compare(booked, bill, complete=complete)

    async def summary(
        self,
        group_by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        tenant: str | None = None,
    ) -> Summary:
        """Return what was spent, held and saved, by one tenant or by all; JobRefused names an unknown grouping."""
        return await self.read(lambda connection: summarize(connection, group_by, since, until, tenant=tenant))

    async def audit(self) -> AuditReport:
        """Return the proof of the books, or the first breach."""
        return await self.read(audit)

    async def read(self, report: Callable[[Connection], Answer]) -> Answer:
        """Return what `report` reads, on a connection that cannot write, in a thread."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                return await loop.run_in_executor(self._readers, self._read, report)
        except TimeoutError as error:
            raise LedgerUnavailable(f"ledger: no answer in {READ_SECONDS_MAX:.0f} s") from error

    def _read(self, report: Callable[[Connection], Answer]) -> Answer:
        try:
            with self._reader.begin() as connection:
                return report(connection)
        except SQLAlchemyError as error:
            raise LedgerUnavailable(f"ledger: {one_line(error)}") from error
