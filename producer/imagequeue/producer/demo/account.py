"""What came out of the demonstration: jobs, costs and whether the ledger equals the provider's bill. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imagequeue.config.job import PRIORITIES
from imagequeue.ledger.api import AttemptRow, Outcome
from imagequeue.producer.demo.provider import BillLine

KNOWN = frozenset({"settled", "reconciled"})


@dataclass(frozen=True, kw_only=True)
class PriorityAccount:
    """One priority's jobs, images and cost; `wait_s` is the mean time from the start of the run to the call."""

    priority: str
    jobs: int
    images: int
    nano_usd: int
    wait_s: float


@dataclass(frozen=True, kw_only=True)
class Account:
    """The end of a run. Money in nano-dollars."""

    priorities: tuple[PriorityAccount, ...]
    jobs: int
    succeeded: int
    lost: tuple[str, ...]
    missing_images: int
    ledger_nano: int
    bill_nano: int
    different_calls: int
    open_attempts: int

    @property
    def images(self) -> int:
        """Images of all jobs."""
        return sum(line.images for line in self.priorities)

    @property
    def books_agree(self) -> bool:
        """Whether the ledger equals the bill, call by call, with nothing left open."""
        return self.ledger_nano == self.bill_nano and self.different_calls == 0 and self.open_attempts == 0

    @property
    def good(self) -> bool:
        """Whether the books agree and nothing was lost."""
        return self.books_agree and not self.lost and self.missing_images == 0 and self.succeeded == self.jobs


def account(
    ids: Sequence[str],
    outcomes: Mapping[str, Outcome],
    attempts: Mapping[str, Sequence[AttemptRow]],
    bill: Iterable[BillLine],
    *,
    started: float,
    missing_images: int,
) -> Account:
    """Return the account of the jobs `ids`; `started` is when the run began, in Unix seconds."""
    rows = [row for job_id in ids for row in attempts.get(job_id, ())]
    ours = {_name(row): row.usd_nano for row in rows if row.state in KNOWN and row.usd_nano}
    theirs = _sums(bill)
    return Account(
        priorities=tuple(_priority(name, ids, outcomes, rows, started) for name in PRIORITIES),
        jobs=len(ids),
        succeeded=sum(outcome.status == "succeeded" for outcome in outcomes.values()),
        lost=tuple(job_id for job_id in ids if job_id not in outcomes),
        missing_images=missing_images,
        ledger_nano=sum(row.usd_nano for row in rows if row.state in KNOWN),
        bill_nano=sum(theirs.values()),
        different_calls=sum(ours.get(name) != theirs.get(name) for name in ours.keys() | theirs.keys()),
        open_attempts=sum(row.state in ("held", "in_doubt") for row in rows),
    )


def _priority(
    name: str, ids: Sequence[str], outcomes: Mapping[str, Outcome], rows: Sequence[AttemptRow], started: float
) -> PriorityAccount:
    mine = [row for row in rows if row.priority == name]
    jobs = {row.job_id for row in mine}
    first_calls = [row.held_at.timestamp() - started for row in mine if row.n == 1]
    return PriorityAccount(
        priority=name,
        jobs=len(jobs),
        images=sum(len(outcomes[job_id].images) for job_id in jobs if job_id in outcomes),
        nano_usd=sum(row.usd_nano for row in mine if row.state in KNOWN),
        wait_s=max(sum(first_calls) / len(first_calls), 0.0) if first_calls else 0.0,
    )


def _name(row: AttemptRow) -> str:
    """What the provider's records call an attempt."""
    return row.client_request_id or f"{row.job_id}-{row.n}"


def _sums(bill: Iterable[BillLine]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for line in bill:
        sums[line.name] = sums.get(line.name, 0) + line.nano_usd
    return sums
