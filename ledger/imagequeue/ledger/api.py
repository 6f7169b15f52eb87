"""What goes into the ledger and what comes out: frozen values, no behaviour.

Money is an integer of nano-dollars (`imagequeue.config.money`), every moment is aware UTC, an attempt is one call of
a provider for one job. How they are stored is in `schema`, what happens to them in `Ledger`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

AttemptState = Literal["held", "settled", "voided", "in_doubt", "reconciled"]
"""`held -> settled | voided | in_doubt -> reconciled`, and no other way."""

OutcomeStatus = Literal["succeeded", "failed", "cancelled", "expired"]
FailureStatus = Literal["failed", "cancelled", "expired"]
CapKind = Literal["org_month", "tenant_day", "tenant_month", "tenant_total", "job"]
Decision = Literal["billed", "not_billed"]
SavingKind = Literal["cache", "coalesced", "batch", "overflow"]
"""Why a job cost less (or, for `overflow`, more) than the same job called at once on the model it asked for."""

CAPS_PER_HOLD_MAX: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Cap:
    """A ceiling on what one scope may use: settled, held and in doubt together, in nano-dollars.

    Days and months are those of the hold, in UTC.
    """

    kind: CapKind
    limit_nano: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldRequest:
    """What is about to be called, and the most that it can cost.

    `lease_token` is `WORKER-DELIVERY`: the number that the queue gave this delivery of the job; a hold for an earlier
    delivery than the ledger has seen is refused.
    `first_delivery` promises that the job was never delivered before, which saves a look-up; a promise that turns
    out wrong is noticed and costs one more round. `credits` are taken from the organization's wallet when it pays so.
    """

    job_id: str
    lease_token: str
    org: str
    model: str
    tenant: str
    priority: str
    operation: str
    images: int
    upper_bound_nano: int
    catalog_version: str
    tags: Mapping[str, str] = field(default_factory=dict)
    intent: str | None = None
    delivery: str = "now"
    size: str | None = None
    quality: str | None = None
    first_delivery: bool = False
    caps: tuple[Cap, ...] = ()
    credits: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """One image that is durable in the store."""

    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    revised_prompt: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookDue:
    """A message that must be sent because the job ended. `payload` is its JSON text, `url` where it goes."""

    url: str
    event: str
    payload: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Saving:
    """What a job did not cost, for one reason; below zero for an `overflow`, whose premium was paid."""

    kind: SavingKind
    usd_nano: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """A call that was answered with images, and what it cost. `usd_nano` 0 is a real zero.

    `savings` are recorded with it, each kind once for a job.
    """

    usd_nano: int
    images: tuple[ImageRecord, ...]
    sent_at: datetime
    ended_at: datetime
    usage: Mapping[str, object] | None = None
    status_code: int | None = None
    request_id: str | None = None
    client_request_id: str | None = None
    webhooks: tuple[WebhookDue, ...] = ()
    savings: tuple[Saving, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a call ended that brought no images. `sent_at` None: it was never sent."""

    ended_at: datetime
    sent_at: datetime | None = None
    status_code: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFailure:
    """A job that ended without images, for good."""

    code: str
    message: str
    retryable: bool = False
    status: FailureStatus = "failed"
    webhooks: tuple[WebhookDue, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheHit:
    """A job that was answered with images of another one: cost 0, `saved_nano` not spent.

    `cache`: they were made before. `coalesced`: the job joined a call that was under way.
    """

    images: tuple[ImageRecord, ...]
    saved_nano: int
    kind: Literal["cache", "coalesced"] = "cache"
    webhooks: tuple[WebhookDue, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFacts:
    """What reports group by, for a job that ends without an attempt. Empty text: never decided."""

    model: str = ""
    tenant: str = "default"
    priority: str = "default"
    org: str = ""
    delivery: str = "now"
    tags: Mapping[str, str] = field(default_factory=dict)
    intent: str | None = None
    catalog_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobCost:
    """What the answer cost, and who gave it. Other attempts of the job have costs of their own."""

    usd_nano: int
    model: str
    org: str
    delivery: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobError:
    """Why a job has no images."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a job ended; told once and then kept. `kept` None: nobody said which images are used.

    `facts` are what is known of the job itself, also when it never came to an attempt.
    """

    job_id: str
    status: OutcomeStatus
    finished_at: datetime
    attempt_id: int | None = None
    images: tuple[ImageRecord, ...] = ()
    cost: JobCost | None = None
    error: JobError | None = None
    cached: bool = False
    saved_nano: int = 0
    kept: tuple[str, ...] | None = None
    facts: JobFacts = field(default_factory=JobFacts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """The hold is committed: call now, or with `delivery` "batch" leave it to the batch that it waits for or is in.

    `doubted` are attempts of workers that died in the middle of this job. `paid_nano` is what the credits cost that it
    draws, and so the call; None when it is paid in dollars. `unanswered` is the latest delivery of the job that has an
    attempt in doubt, with or without those of `doubted`; 0 for none.
    """

    attempt_id: int
    n: int
    doubted: tuple[int, ...] = ()
    delivery: str = "now"
    paid_nano: int | None = None
    unanswered: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class AlreadyDone:
    """The job has ended before; nothing was held and nothing may be called."""

    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class CapReached:
    """The hold does not fit under a cap; nothing was held. `until`: when the cap starts anew, None for never."""

    scope: str
    kind: CapKind | Literal["credits"]
    limit_nano: int
    used_nano: int
    until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Overtaken:
    """The job was delivered again since, and that delivery held before; nothing was held and nothing may be called."""

    delivery: int


HoldResult = Held | AlreadyDone | CapReached | Overtaken


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptRow:
    """One attempt as reports show it. `usd_nano` is the cost once known, and the hold until then."""

    attempt_id: int
    job_id: str
    n: int
    org: str
    model: str
    tenant: str
    priority: str
    delivery: str
    operation: str
    size: str | None
    quality: str | None
    intent: str | None
    tags: Mapping[str, str]
    state: AttemptState
    upper_bound_nano: int
    usd_nano: int
    images: int
    catalog_version: str
    held_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None
    status_code: int | None
    error_code: str | None
    error_message: str | None
    request_id: str | None
    client_request_id: str | None
    usage: Mapping[str, object] | None
    reason: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookRow:
    """A message of the outbox that is due. `tries` counts the deliveries begun, this one included."""

    webhook_id: int
    job_id: str
    url: str
    event: str
    payload: str
    tries: int
    created_at: datetime
