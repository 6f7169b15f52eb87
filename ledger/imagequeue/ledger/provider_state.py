"""How far the ledger agrees with the provider at this moment: days reconciled, what is open, batches under way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from imagequeue.config.clock import iso
from imagequeue.config.money import format_usd
from imagequeue.ledger.batch_records import Batch, unfinished
from imagequeue.ledger.moments import moment_or_none
from imagequeue.ledger.reconciliations import DayState, active_days, since_day, states
from imagequeue.ledger.schedule import due_days
from imagequeue.ledger.schema import attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class OrgAgreement:
    """One organization: the last day that was reconciled, days with something left, and days that are due now."""

    org: str
    last: DayState | None
    open_days: tuple[DayState, ...]
    due: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return it as `status --json` prints it."""
        return {
            "org": self.org,
            "last": self.last.as_json() if self.last else None,
            "open": [day.as_json() for day in self.open_days],
            "due": list(self.due),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderState:
    """Everything that is between the ledger and the provider. `doubt_oldest` is when the oldest doubt was held."""

    orgs: tuple[OrgAgreement, ...]
    in_doubt: int
    in_doubt_nano: int
    doubt_oldest: datetime | None
    batches: tuple[Batch, ...]

    def as_json(self) -> dict[str, object]:
        """Return it as `status --json` prints it."""
        return {
            "reconciliation": [org.as_json() for org in self.orgs],
            "in_doubt": {
                "attempts": self.in_doubt,
                "usd": format_usd(self.in_doubt_nano),
                "oldest": iso(self.doubt_oldest) if self.doubt_oldest else None,
            },
            "batches": [batch.as_json() for batch in self.batches],
        }


def provider_state(connection: Connection, orgs: Sequence[str], now: datetime) -> ProviderState:
    """Return the state; `orgs` are those with an admin key."""
    doubts = select(func.count(), func.sum(attempt.c.upper_bound_nano), func.min(attempt.c.held_at_us))
    count, nano, oldest_us = connection.execute(doubts.where(attempt.c.state == "in_doubt")).one()
    return ProviderState(
        orgs=tuple(_agreement(connection, org, now) for org in orgs),
        in_doubt=count,
        in_doubt_nano=int(nano or 0),
        doubt_oldest=moment_or_none(oldest_us),
        batches=unfinished(connection),
    )


def _agreement(connection: Connection, org: str, now: datetime) -> OrgAgreement:
    since = since_day(now)
    known = states(connection, org, since)
    looked_at = [day for day in known if day.checked_at is not None]
    checks = {day.day: day.next_at for day in known}
    return OrgAgreement(
        org=org,
        last=looked_at[-1] if looked_at else None,
        open_days=tuple(day for day in known if day.is_open),
        due=tuple(due_days(active_days(connection, org, since), checks, now)),
    )
