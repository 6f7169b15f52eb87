"""Looking up jobs: their outcomes and attempts."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, cast

from sqlalchemy import Connection, select

from imagequeue.ledger.api import AttemptRow, Outcome
from imagequeue.ledger.rows import AttemptColumns, OutcomeColumns, attempt_of, outcome_of
from imagequeue.ledger.schema import attempt, outcome

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
