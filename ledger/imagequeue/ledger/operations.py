"""What the writer can be asked to do, each with the type of its answer."""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from imagequeue.ledger.api import (
    CacheHit,
    Decision,
    Ending,
    HoldRequest,
    HoldResult,
    JobFacts,
    JobFailure,
    Saving,
    Settlement,
    WebhookRow,
)
from imagequeue.ledger.wallet import GrantKind

if TYPE_CHECKING:
    from imagequeue.ledger.unit import Unit

Answer_co = TypeVar("Answer_co", covariant=True)


class Operation(Generic[Answer_co]):
    """One request to the writer, answered with an `Answer_co` after the commit."""

    __slots__ = ()

    @property
    def subject(self) -> Hashable:
        """What it is about: two operations on one subject never share a transaction."""
        return id(self)


class OnAttempt(Operation[bool]):
    """An operation that resolves one attempt."""

    __slots__ = ()
    attempt_id: int

    @property
    def subject(self) -> Hashable:
        """Return the attempt."""
        return self.attempt_id


class Step(Operation[Answer_co], ABC):
    """An operation that carries its own work, done inside the writer's transaction."""

    __slots__ = ()

    @abstractmethod
    def perform(self, unit: "Unit") -> Answer_co:
        """Do it, and return the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold(Operation[HoldResult]):
    """Commit an attempt before its call."""

    request: HoldRequest

    @property
    def subject(self) -> Hashable:
        """Return the job."""
        return self.request.job_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Settle(OnAttempt):
    """Book an answered call, with the job's outcome."""

    attempt_id: int
    settlement: Settlement


@dataclass(frozen=True, kw_only=True, slots=True)
class Void(OnAttempt):
    """Release the hold of a call that certainly was not billed."""

    attempt_id: int
    ending: Ending
    outcome: JobFailure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt(OnAttempt):
    """Keep the hold of a call that was sent and never answered."""

    attempt_id: int
    ending: Ending
    outcome: JobFailure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolve(OnAttempt):
    """Decide an attempt in doubt. `usd_nano` None: the whole hold was billed."""

    attempt_id: int
    decision: Decision
    usd_nano: int | None
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OnJob(Operation[bool]):
    """An operation on the outcome of one job."""

    job_id: str

    @property
    def subject(self) -> Hashable:
        """Return the job."""
        return self.job_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Record(OnJob):
    """Store the outcome of a job that ended without an attempt."""

    outcome: JobFailure | CacheHit
    facts: JobFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordSaving(OnJob):
    """Note what a job did not cost, once for each kind. `facts` None: those of its last attempt or its outcome."""

    saving: Saving
    facts: JobFacts | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Keep(OnJob):
    """Note which images of a job are used. None: all of them."""

    sha256s: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reopen(OnJob):
    """Let a job that ended without images be tried again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Correct(Operation[bool]):
    """Book what the provider's bill shows beyond our own rows, once for each source."""

    org: str
    day: str
    model: str
    usd_nano: int
    reason: str
    source: str

    @property
    def subject(self) -> Hashable:
        """Return the source."""
        return self.source


@dataclass(frozen=True, kw_only=True, slots=True)
class GrantCredits(Operation[bool]):
    """Add credits to an organization's wallet, once for each source."""

    org: str
    kind: GrantKind
    credits: int
    paid_nano: int
    expires_at: datetime | None
    source: str

    @property
    def subject(self) -> Hashable:
        """Return the organization and the source."""
        return self.org, self.source


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimWebhooks(Operation[tuple[WebhookRow, ...]]):
    """Take due messages of the outbox for `lease_seconds`, none for the URLs in `without`."""

    count: int
    lease_seconds: float
    without: tuple[str, ...] = ()

    @property
    def subject(self) -> Hashable:
        """Return the outbox: one claim in a transaction."""
        return ClaimWebhooks


@dataclass(frozen=True, kw_only=True, slots=True)
class EndWebhook(Operation[bool]):
    """Note a delivery, or when to try again (None: never). `tries` is that of the claim, and fences failures."""

    webhook_id: int
    tries: int
    delivered: bool
    error: str | None = None
    next_try: datetime | None = None

    @property
    def subject(self) -> Hashable:
        """Return the message."""
        return "webhook", self.webhook_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Redeliver(Operation[int]):
    """Make messages due now, whether they arrived, were given up or wait."""

    webhook_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Purge(Operation[int]):
    """Delete messages of the outbox that ended before a moment."""

    before: datetime
