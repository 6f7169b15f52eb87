"""The ledger as the rest of the program uses it: asynchronous, and true once a call has returned."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from imagequeue.config.clock import Clock, SystemClock
from imagequeue.config.errors import LedgerUnavailable
from imagequeue.config.money import NANO_PER_USD, USD_MAX
from imagequeue.ledger import operations
from imagequeue.ledger.api import (
    CAPS_PER_HOLD_MAX,
    CacheHit,
    Decision,
    Ending,
    HoldRequest,
    HoldResult,
    ImageRecord,
    JobFacts,
    JobFailure,
    Saving,
    SavingKind,
    Settlement,
    WebhookRow,
)
from imagequeue.ledger.committer import Committer, one_line
from imagequeue.ledger.database import parse_url, reader_engine, writer_engine
from imagequeue.ledger.images import OwnImages
from imagequeue.ledger.migrate import current_revision, migrate
from imagequeue.ledger.operations import Operation
from imagequeue.ledger.reports import Reports
from imagequeue.ledger.retention import Archived, Seal, Strip
from imagequeue.ledger.schema import REVISION
from imagequeue.ledger.wallet import GrantKind
from imagequeue.ledger.writer import COMMITS_PER_SECOND, Writer

STALLED_SECONDS: Final = 1.5  # a commit that lasts longer is no longer slow: no new call should be begun
CREDITS_MAX: Final = 1_000_000
AMOUNT_NANO_MAX: Final = USD_MAX * NANO_PER_USD

Answer = TypeVar("Answer")


class Ledger(Reports):
    """Attempts, holds, outcomes and reports in one database. Made by `open`; `aclose` at the end.

    Every method raises LedgerUnavailable when the database does not answer. What a write meant to do is then either
    done or not done; holds that nobody heard of are voided, or become in doubt when the job is delivered again.
    """

    def __init__(self, writer: Writer, reader: Engine, clock: Clock) -> None:
        super().__init__(reader, clock)
        self._writer = writer

    @classmethod
    async def open(
        cls, url: str, *, clock: Clock | None = None, commits_per_second: float = COMMITS_PER_SECOND
    ) -> "Ledger":
        """Return the ledger at a SQLAlchemy URL, its tables made or brought up to date.

        Under steady load, `commits_per_second` trades the time that a hold waits for the CPU that commits take.
        ConfigError for a URL that is neither a SQLite file nor PostgreSQL.
        """
        parsed = parse_url(url)
        clock = clock or SystemClock()
        committer = await asyncio.to_thread(_opened_committer, parsed, clock)
        writer = Writer(committer, commits_per_second)
        writer.start()
        return cls(writer, reader_engine(parsed), clock)

    async def aclose(self) -> None:
        """Commit what was asked for and let the database go."""
        await self._writer.close()
        self.close_reader()

    def stalled(self) -> str:
        """Return why nothing is booked at this moment, '' when commits come through."""
        seconds = self._writer.stalled_seconds
        if seconds < STALLED_SECONDS:
            return ""
        return f"ledger: a commit has waited for {seconds:.0f} s; is the database locked or out of reach?"

    @property
    def stalled_seconds(self) -> float:
        """How long the commit has lasted that is under way; 0 when there is none."""
        return self._writer.stalled_seconds

    @property
    def backlog(self) -> int:
        """How many operations of this process wait for a commit."""
        return self._writer.backlog

    def commit_seconds(self) -> list[float]:
        """Return how long this process's commits took since this was last asked, of a thousand at most."""
        return self._writer.commit_seconds()

    async def ping(self) -> None:
        """Return when the database answers and this process can write to it."""
        if not self._writer.alive:
            raise LedgerUnavailable("ledger: closed")
        if stalled := self.stalled():
            raise LedgerUnavailable(stalled)
        await self.read(lambda connection: connection.execute(text("SELECT 1")).scalar())

    async def hold(self, request: HoldRequest) -> HoldResult:
        """Commit an attempt before its call, or say why there must be none.

        A job that has ended is AlreadyDone. A cap that the attempt would pass is CapReached. An earlier attempt of
        the job that is still held had its worker die: it goes in doubt, and keeps its hold.
        """
        _check_amount("upper_bound_nano", request.upper_bound_nano)
        if request.images < 1:
            raise ValueError("images: at least 1")
        if len(request.caps) > CAPS_PER_HOLD_MAX:
            raise ValueError(f"caps: at most {CAPS_PER_HOLD_MAX}")
        return await self._writer.submit(operations.Hold(request=request))

    async def settle(self, attempt_id: int, settlement: Settlement) -> bool:
        """Book an answered call and the job's success, both or neither; the images must be durable before.

        False: the attempt was resolved before, or taken for lost, so the job is not the caller's to finish. In the
        second case its cost is booked all the same. NotFound: there is no such attempt.
        """
        _check_amount("usd_nano", settlement.usd_nano)
        for saving in settlement.savings:
            _check_saving(saving)
        return await self._writer.submit(operations.Settle(attempt_id=attempt_id, settlement=settlement))

    async def void(self, attempt_id: int, ending: Ending, outcome: JobFailure | None = None) -> bool:
        """Release the hold of a call that certainly was not billed; with `outcome`, the job has failed for good.

        False and NotFound as in `settle`.
        """
        return await self._writer.submit(operations.Void(attempt_id=attempt_id, ending=ending, outcome=outcome))

    async def doubt(self, attempt_id: int, ending: Ending, outcome: JobFailure | None = None) -> bool:
        """Keep the hold of a call that was sent and not answered, until it is reconciled.

        False and NotFound as in `settle`.
        """
        return await self._writer.submit(operations.Doubt(attempt_id=attempt_id, ending=ending, outcome=outcome))

    async def resolve(
        self, attempt_id: int, decision: Decision, usd_nano: int | None = None, *, reason: str, by: str
    ) -> bool:
        """Decide an attempt in doubt: `billed` for `usd_nano` (None: for its whole hold), or `not_billed`.

        False when it is not in doubt (any more). `by` says who decided, and is kept with the reason.
        """
        _check_amount("usd_nano", usd_nano or 0)
        operation = operations.Resolve(
            attempt_id=attempt_id, decision=decision, usd_nano=usd_nano, reason=f"{reason} (by {by})"
        )
        return await self._writer.submit(operation)

    async def correct(self, org: str, day: str, usd_nano: int, *, model: str, reason: str, source: str) -> bool:
        """Book what the provider's bill of a UTC day shows beyond our rows (negative: less); once for each source."""
        _check_amount("usd_nano", abs(usd_nano))
        operation = operations.Correct(org=org, day=day, model=model, usd_nano=usd_nano, reason=reason, source=source)
        return await self._writer.submit(operation)

    async def grant_credits(
        self,
        org: str,
        count: int,
        paid_nano: int,
        *,
        kind: GrantKind,
        source: str,
        expires_at: datetime | None = None,
    ) -> bool:
        """Add `count` credits to an organization's wallet, worth what was paid for them; once for each source.

        Holds that ask for credits draw on what expires first.
        """
        _check_amount("paid_nano", paid_nano)
        if not 1 <= count <= CREDITS_MAX:
            raise ValueError(f"count: 1 to {CREDITS_MAX}")
        operation = operations.GrantCredits(
            org=org, kind=kind, credits=count, paid_nano=paid_nano, expires_at=expires_at, source=source
        )
        return await self._writer.submit(operation)

    async def seal(self, archived: Archived) -> bool:
        """Book the archive of a month's details, whose file must be durable; False when one was booked before."""
        return await self._writer.submit(Seal(archived=archived))

    async def strip(self, month: str) -> int:
        """Take some of the details of a sealed month out; return of how many rows, 0 when none are left."""
        return await self._writer.submit(Strip(month=month))

    async def purge_webhooks(self, before: datetime) -> int:
        """Delete messages that were delivered or given up before a moment; return how many."""
        return await self._writer.submit(operations.Purge(before=before))

    async def record_outcome(self, job_id: str, outcome: JobFailure | CacheHit, facts: JobFacts) -> bool:
        """Store how a job ended that made no call; False when it had ended before, which then stands."""
        return await self._writer.submit(operations.Record(job_id=job_id, outcome=outcome, facts=facts))

    async def record_saving(
        self, job_id: str, kind: SavingKind, usd_nano: int, *, facts: JobFacts | None = None
    ) -> bool:
        """Note what a job did not cost, once for each kind; False when that kind is noted already, which then stands.

        `cache` and `coalesced` count the job among those answered without a call (a `CacheHit` outcome has noted it
        by itself); `batch` is the price on demand less the batch price; `overflow` is below zero, the premium paid.
        `facts` None: those of the job's last attempt or outcome; NotFound when the ledger knows neither.
        """
        saving = Saving(kind=kind, usd_nano=usd_nano)
        _check_saving(saving)
        return await self._writer.submit(operations.RecordSaving(job_id=job_id, saving=saving, facts=facts))

    async def own_images(self, tenant: str, images: Collection[ImageRecord]) -> None:
        """Note that images, durable in the store, are a tenant's; those of a job's success are so without it."""
        if images:
            await self._writer.submit(OwnImages(tenant=tenant, images=tuple(images)))

    async def reopen(self, job_id: str) -> bool:
        """Set a failure aside, so that the job can be tried again; False when there is none."""
        return await self._writer.submit(operations.Reopen(job_id=job_id))

    async def keep(self, job_id: str, image_sha256s: Sequence[str] | None = None) -> bool:
        """Note which images of a job are used (None: all); NotFound when it has no such image."""
        sha256s = None if image_sha256s is None else tuple(image_sha256s)
        return await self._writer.submit(operations.Keep(job_id=job_id, sha256s=sha256s))

    async def claim_webhooks(
        self, count: int, lease_seconds: float, without: Sequence[str] = ()
    ) -> tuple[WebhookRow, ...]:
        """Take up to `count` messages that are due; unless ended, they are due again after `lease_seconds`.

        `without` names URLs whose messages are left where they are.
        """
        operation = operations.ClaimWebhooks(count=count, lease_seconds=lease_seconds, without=tuple(without))
        return await self._writer.submit(operation)

    async def webhook_delivered(self, row: WebhookRow) -> bool:
        """Note that a message arrived; False when that is known."""
        operation = operations.EndWebhook(webhook_id=row.webhook_id, tries=row.tries, delivered=True)
        return await self._writer.submit(operation)

    async def webhook_failed(self, row: WebhookRow, error: str, next_try: datetime | None) -> bool:
        """Note that a message did not arrive, and when to try again (None: never).

        False when it arrived since, or when it was taken by another since this claim's lease ended.
        """
        operation = operations.EndWebhook(
            webhook_id=row.webhook_id, tries=row.tries, delivered=False, error=error, next_try=next_try
        )
        return await self._writer.submit(operation)

    async def redeliver_webhooks(self, webhook_ids: Iterable[int]) -> int:
        """Make messages due now, with all their tries anew; return how many of them are known."""
        return await self._writer.submit(operations.Redeliver(webhook_ids=tuple(webhook_ids)))

    async def submit(self, operation: Operation[Answer]) -> Answer:
        """Return an operation's answer after its commit; for parts of the ledger with operations of their own."""
        return await self._writer.submit(operation)


def _opened_committer(url: URL, clock: Clock) -> Committer:
    engine = writer_engine(url)
    try:
        if not _is_current(url):
            with engine.begin() as connection:
                migrate(connection)
    except (SQLAlchemyError, LedgerUnavailable) as error:
        engine.dispose()
        if isinstance(error, LedgerUnavailable):
            raise
        raise LedgerUnavailable(f"ledger {url.render_as_string()}: {one_line(error)}") from error
    return Committer(engine, clock)


def _is_current(url: URL) -> bool:
    """Whether the tables are up to date: a look that waits for no lock, so that who only reads is not kept waiting."""
    engine = reader_engine(url)
    try:
        with engine.begin() as connection:
            return current_revision(connection) == REVISION
    finally:
        engine.dispose()


def _check_saving(saving: Saving) -> None:
    below_zero = saving.kind == "overflow" and saving.usd_nano < 0
    _check_amount("usd_nano", -saving.usd_nano if below_zero else saving.usd_nano)


def _check_amount(field: str, amount_nano: int) -> None:
    if not 0 <= amount_nano <= AMOUNT_NANO_MAX:
        raise ValueError(f"{field}: 0 to {AMOUNT_NANO_MAX} nano-dollars")
