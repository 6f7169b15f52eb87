"""Looking up single jobs, attempts and days."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, TypedDict, cast

from sqlalchemy import ColumnElement, Connection, and_, or_, select, true

from imagequeue.ledger.api import AttemptRow, Outcome
from imagequeue.ledger.moments import microseconds, moment, moment_or_none
from imagequeue.ledger.rows import AttemptColumns, OutcomeColumns, attempt_of, outcome_of
from imagequeue.ledger.schema import attempt, grant, outcome
from imagequeue.ledger.wallet import GrantKind, GrantRow, Wallet

JOBS_PER_QUERY_MAX: Final = 500  # well below SQLite's and PostgreSQL's limits on parameters


def outcomes_of_jobs(connection: Connection, job_ids: Sequence[str]) -> dict[str, Outcome]:
    """Return the outcomes that stand, by job."""
    found: dict[str, Outcome] = {}
    for some in _in_pieces(job_ids):
        query = select(outcome).where(outcome.c.job_id.in_(some), outcome.c.reopened_at_us.is_(None))
        rows = cast("Sequence[OutcomeColumns]", connection.execute(query).mappings().all())
        found |= {row["job_id"]: outcome_of(row) for row in rows}
    return found


def attempts_of_jobs(connection: Connection, job_ids: Sequence[str]) -> dict[str, tuple[AttemptRow, ...]]:
    """Return the attempts in order, by job."""
    found: dict[str, list[AttemptRow]] = defaultdict(list)
    for some in _in_pieces(job_ids):
        query = select(attempt).where(attempt.c.job_id.in_(some)).order_by(attempt.c.n)
        for row in cast("Sequence[AttemptColumns]", connection.execute(query).mappings().all()):
            found[row["job_id"]].append(attempt_of(row))
    return {job_id: tuple(rows) for job_id, rows in found.items()}


def _in_pieces(job_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (job_ids[at : at + JOBS_PER_QUERY_MAX] for at in range(0, len(job_ids), JOBS_PER_QUERY_MAX))


def attempts_in_doubt(connection: Connection, count: int) -> tuple[AttemptRow, ...]:
    """Return the oldest attempts in doubt."""
    query = select(attempt).where(attempt.c.state == "in_doubt").order_by(attempt.c.held_at_us).limit(count)
    rows = cast("Sequence[AttemptColumns]", connection.execute(query).mappings().all())
    return tuple(attempt_of(row) for row in rows)


def old_holds(
    connection: Connection, before: datetime, count: int, after: AttemptRow | None = None
) -> tuple[AttemptRow, ...]:
    """Return the oldest attempts held before a moment, beyond one; those in a batch are looked after by it."""
    order = (attempt.c.held_at_us, attempt.c.id)
    query = select(attempt).where(_is_old(before), _beyond(after)).order_by(*order).limit(count)
    rows = cast("Sequence[AttemptColumns]", connection.execute(query).mappings().all())
    return tuple(attempt_of(row) for row in rows)


def is_old_hold(connection: Connection, attempt_id: int, before: datetime) -> bool:
    """Return whether an attempt is one of those."""
    query = select(attempt.c.id).where(attempt.c.id == attempt_id, _is_old(before))
    return connection.execute(query).first() is not None


def _is_old(before: datetime) -> ColumnElement[bool]:
    return and_(attempt.c.state == "held", attempt.c.delivery == "now", attempt.c.held_at_us < microseconds(before))


def _beyond(after: AttemptRow | None) -> ColumnElement[bool]:
    if after is None:
        return true()
    held_at_us = microseconds(after.held_at)
    later = attempt.c.held_at_us > held_at_us
    return or_(later, and_(attempt.c.held_at_us == held_at_us, attempt.c.id > after.attempt_id))


class GrantColumns(TypedDict):
    """A row of `ledger_grant`."""

    id: int
    org: str
    kind: GrantKind
    credits: int
    credits_left: int
    paid_nano: int
    paid_left_nano: int
    granted_at_us: int
    expires_at_us: int | None
    source: str


def grants_of(connection: Connection, org: str | None) -> tuple[GrantRow, ...]:
    """Return the grants of an organization (None: of all), those that are used first first."""
    mine = true() if org is None else grant.c.org == org
    order = (grant.c.org, grant.c.expires_at_us.is_(None), grant.c.expires_at_us, grant.c.id)
    rows = connection.execute(select(grant).where(mine).order_by(*order)).mappings().all()
    return tuple(_grant(row) for row in cast("Sequence[GrantColumns]", rows))


def _grant(row: GrantColumns) -> GrantRow:
    return GrantRow(
        grant_id=row["id"],
        org=row["org"],
        kind=row["kind"],
        credits=row["credits"],
        credits_left=row["credits_left"],
        paid_nano=row["paid_nano"],
        paid_left_nano=row["paid_left_nano"],
        granted_at=moment(row["granted_at_us"]),
        expires_at=moment_or_none(row["expires_at_us"]),
        source=row["source"],
    )


def wallet_of(connection: Connection, org: str, now: datetime) -> Wallet:
    """Return what an organization's grants hold that have not expired."""
    usable = or_(grant.c.expires_at_us.is_(None), grant.c.expires_at_us > microseconds(now))
    query = select(grant.c.credits_left, grant.c.paid_left_nano, grant.c.expires_at_us)
    rows = connection.execute(query.where(grant.c.org == org, grant.c.credits_left > 0, usable)).all()
    expiries = [expires_at_us for _, _, expires_at_us in rows if expires_at_us is not None]
    return Wallet(
        org=org,
        credits=sum(left for left, _, _ in rows),
        worth_nano=sum(worth_nano for _, worth_nano, _ in rows),
        next_expiry=moment(min(expiries)) if expiries else None,
    )
