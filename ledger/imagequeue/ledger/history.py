"""What a batch of holds has to know: asked in one trip, and locked in the order that every writer keeps."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, cast

from imagequeue.ledger.api import HoldRequest
from imagequeue.ledger.caps import scopes
from imagequeue.ledger.credit import grants_query, wallets
from imagequeue.ledger.rows import AttemptColumns, OutcomeColumns
from imagequeue.ledger.set_caps import set_caps_query, with_set_caps
from imagequeue.ledger.transaction import Query
from imagequeue.ledger.unit import Unit
from imagequeue.ledger.wallet import Grant


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What the ledger knows of a job before a hold."""

    outcome: OutcomeColumns | None = None
    attempts: tuple[AttemptColumns, ...] = ()

    @property
    def used_nano(self) -> int:
        """What the job's earlier attempts cost, or may cost."""
        return sum(row["upper_bound_nano"] if row["usd_nano"] is None else row["usd_nano"] for row in self.attempts)

    @property
    def next_n(self) -> int:
        """The number of the next attempt."""
        return 1 + max(row["n"] for row in self.attempts) if self.attempts else 1

    @property
    def batched(self) -> AttemptColumns | None:
        """The attempt that waits for a batch or is in one, if there is one: it needs no worker to live on."""
        return next((row for row in self.attempts if row["state"] == "held" and row["delivery"] == "batch"), None)

    @property
    def unanswered(self) -> int:
        """The latest delivery whose attempt is in doubt, or will be by the next hold; 0 for none."""
        if not self.attempts:
            return 0
        open_rows = [row for row in self.attempts if row["state"] in ("held", "in_doubt")]
        return max((max(delivery_of(row["lease_token"]), 1) for row in open_rows), default=0)

    @property
    def delivery(self) -> int:
        """The latest delivery that made an attempt."""
        return max((delivery_of(row["lease_token"]) for row in self.attempts), default=0)


def delivery_of(lease_token: str) -> int:
    """Return the number at the end of `WORKER-DELIVERY`; 0 for a token without one."""
    _, dash, number = lease_token.rpartition("-")
    return int(number) if dash and number.isdecimal() else 0


NOTHING_BEFORE: Final = History()


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the database says: the holds under the caps that stand, what their jobs did before, what scopes have used.

    Jobs without a history are not in `histories`; `grants` are those of organizations that pay with credits.
    """

    requests: list[HoldRequest]
    histories: dict[str, History]
    used_nano: dict[str, int]
    grants: dict[str, list[Grant]]


def read(unit: Unit, requests: list[HoldRequest], trusted: Collection[str]) -> Known:
    """Return what is known for the holds. Of trusted jobs only the end is looked up.

    They can have ended without an attempt, which leaves no number that is taken.
    """
    names = {name for one in requests for name in (one.org, one.tenant)}
    paying = {one.org for one in requests if one.credits}
    wanted = unit.scopes_to_lock(name for one in requests for name in scopes(one.org, one.tenant, unit.day))
    caps, attempts, outcomes, grants, balances = unit.transaction.rows_of_each(
        [
            set_caps_query(unit, names),
            _attempts_query(unit, [one.job_id for one in requests if one.job_id not in trusted]),
            unit.listed(unit.transaction.statements.outcomes_by_job, [one.job_id for one in requests]),
            grants_query(unit, paying),
            unit.balances_query(wanted),
        ]
    )
    return Known(
        requests=with_set_caps(requests, caps),
        histories=_histories(attempts, outcomes),
        used_nano=unit.used_of(wanted, balances),
        grants=wallets(paying, grants),
    )


def histories(unit: Unit, job_ids: list[str]) -> dict[str, History]:
    """Return what each of the jobs did before."""
    if not job_ids:
        return {}
    outcomes = unit.listed(unit.transaction.statements.outcomes_by_job, job_ids)
    found = _histories(*unit.transaction.rows_of_each([_attempts_query(unit, job_ids), outcomes]))
    return {job_id: found.get(job_id, NOTHING_BEFORE) for job_id in job_ids}


def _attempts_query(unit: Unit, job_ids: list[str]) -> Query | None:
    return unit.listed(unit.transaction.statements.attempts_by_job, job_ids) if job_ids else None


def _histories(attempts: list[object], outcomes: list[object]) -> dict[str, History]:
    of_job: dict[str, list[AttemptColumns]] = {}
    for row in cast("list[AttemptColumns]", attempts):
        of_job.setdefault(row["job_id"], []).append(row)
    ends = {row["job_id"]: row for row in cast("list[OutcomeColumns]", outcomes)}
    return {
        job_id: History(outcome=ends.get(job_id), attempts=tuple(of_job.get(job_id, ()))) for job_id in {*of_job, *ends}
    }
