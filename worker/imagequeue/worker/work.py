"""What a job's life works on, and with: one claim as it will be called, and the parts that main built."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from imagequeue.config.catalog import Catalog, Model
from imagequeue.config.clock import Clock
from imagequeue.config.job import Job
from imagequeue.config.money import NanoUsd
from imagequeue.config.settings import Settings
from imagequeue.ledger.api import Held
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.ceilings import Pool
from imagequeue.queue.claims import Claim, Claims
from imagequeue.store.store import ImageStore
from imagequeue.worker import book
from imagequeue.worker.call import Caller, Files
from imagequeue.worker.download import Downloader
from imagequeue.worker.gate import Gates
from imagequeue.worker.health import Health
from imagequeue.worker.heard import Hearing
from imagequeue.worker.inputs import Inputs
from imagequeue.worker.overflow import Overflow
from imagequeue.worker.refusals import Refusals
from imagequeue.worker.returns import Returns
from imagequeue.worker.stored_answers import StoredAnswers
from imagequeue.worker.telling import Telling
from imagequeue.worker.watching import Attempt, Watch


@dataclass(frozen=True, kw_only=True)
class FirstChoice:
    """What an overflowed job would have been called as."""

    job: Job
    model: Model


@dataclass(frozen=True, kw_only=True)
class Work:
    """One claim being worked on: the job as it will be called, by whom."""

    claims: Claims
    claim: Claim
    job: Job
    model: Model
    pool: Pool
    tries: int
    files: Files = field(default_factory=list)
    first_choice: FirstChoice | None = None

    @property
    def overflowed(self) -> bool:
        """Whether it is called on another model than its first choice, which refused it."""
        return self.first_choice is not None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a job's life needs; built once in main."""

    settings: Settings
    catalog: Catalog
    ledger: Ledger
    store: ImageStore
    caller: Caller
    downloader: Downloader
    inputs: Inputs
    returns: Returns
    refusals: Refusals
    telling: Telling
    health: Health
    clock: Clock
    pools: Callable[[], Mapping[str, Pool]]
    overflow: Overflow
    gates: Gates
    tell_sketch: Callable[[str, bytes], Awaitable[None]]
    answers: StoredAnswers
    hearing: Hearing
    watch: Watch


def first_choice_nano(work: Work, made: int, on: date) -> NanoUsd | None:
    """Return what the refused model would have cost for as many images; None for a job that did not overflow."""
    first = work.first_choice
    return None if first is None else book.price(first.job, first.model, made, on)


def attempt_of(work: Work, held: Held) -> Attempt:
    """Return how the call of this attempt is named in logs, metrics and traces."""
    return Attempt(
        job_id=work.claim.id,
        n=held.n,
        org=work.pool.org.name,
        pool=work.pool.name,
        model=work.model.name,
        client_request_id=request_name(work, held),
    )


def request_name(work: Work, held: Held) -> str:
    """Return what the provider's records call this attempt; at most 512 ASCII characters."""
    return f"{work.claim.id}-{held.n}"
