"""Retention: a month's details go to a file, its digest into the chain, and then they leave the database.

Details are what no sum is made of: images with their prompts, usage, request ids, messages, reasons. Attempts with what
they cost, outcomes, entries and every sum stay, so that every proof of the audit stays possible.
"""

import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select

from imagequeue.config.errors import ImageQueueError
from imagequeue.ledger import entries
from imagequeue.ledger.moments import day, microseconds, start_of_next_month
from imagequeue.ledger.operations import Step
from imagequeue.ledger.schema import attempt, outcome
from imagequeue.ledger.schema_archive import archive
from imagequeue.ledger.unit import Unit

ROWS_PER_READ: Final = 5_000
ROWS_PER_STRIP: Final = 2_000  # in one transaction, so that money is never held up for long
KEEP_MONTHS_MAX: Final = 1_200
MONTH: Final = re.compile(r"\d{4}-\d{2}")
STRIP_ATTEMPTS: Final = """
UPDATE ledger_attempt
SET usage = NULL, request_id = NULL, client_request_id = NULL, error_message = NULL, reason = NULL
WHERE id IN (
    SELECT id FROM ledger_attempt
    WHERE day >= '{first}' AND day < '{end}' AND state NOT IN ('held', 'in_doubt')
        AND coalesce(usage, request_id, client_request_id, error_message, reason) IS NOT NULL
    LIMIT {count}
)
"""
STRIP_OUTCOMES: Final = """
UPDATE ledger_outcome SET images = '[]', error_message = NULL, kept = NULL
WHERE job_id IN (
    SELECT job_id FROM ledger_outcome
    WHERE day >= '{first}' AND day < '{end}' AND (images <> '[]' OR error_message IS NOT NULL OR kept IS NOT NULL)
    LIMIT {count}
)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Month:
    """A month that is old enough: whether its archive is sealed, and how many of its attempts are not decided."""

    month: str
    sealed: bool
    undecided: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Archived:
    """A file that holds a month's details."""

    month: str
    rows: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal(Step[bool]):
    """Book a month's archive: its digest in the chain, and leave to take the details out. False: booked before."""

    archived: Archived

    def perform(self, unit: Unit) -> bool:
        """Do it inside the transaction."""
        of = self.archived
        row = {"month": of.month, "rows": of.rows, "sha256": of.sha256, "at_us": unit.now_us}
        if unit.transaction.run(unit.transaction.statements.add_archive, row) == 0:
            return False
        unit.entries.append(entries.archive(of.month, unit.day, of.sha256, of.rows))
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip(Step[int]):
    """Take details of a sealed month out, ROWS_PER_STRIP at a time; answers how many rows had some."""

    month: str

    def perform(self, unit: Unit) -> int:
        """Do it inside the transaction."""
        if not MONTH.fullmatch(self.month):
            raise ValueError(f"month: {self.month!r} is none")
        unit.touched = True
        first, end = _days(self.month)
        values = {"first": first, "end": end, "count": ROWS_PER_STRIP}
        texts = (STRIP_ATTEMPTS.format(**values), STRIP_OUTCOMES.format(**values))
        return sum(unit.transaction.run(text, {}) for text in texts)


def months_to_archive(connection: Connection, keep_months: int, now: datetime) -> tuple[Month, ...]:
    """Return the months before the last `keep_months` whole ones, oldest first."""
    if not 1 <= keep_months <= KEEP_MONTHS_MAX:
        raise ImageQueueError(f"keep_months: 1 to {KEEP_MONTHS_MAX}")
    before = _months_back(day(microseconds(now))[:7], keep_months)
    name = func.substr(attempt.c.day, 1, 7)
    undecided = func.count(attempt.c.id).filter(attempt.c.state.in_(("held", "in_doubt")))
    query = select(name, undecided).where(attempt.c.day < f"{before}-01").group_by(name).order_by(name)
    sealed = set(connection.execute(select(archive.c.month)).scalars())
    return tuple(
        Month(month=month, sealed=month in sealed, undecided=count) for month, count in connection.execute(query)
    )


def write_archive(connection: Connection, month: str, path: Path) -> Archived:
    """Write a month's attempts and outcomes, as they are, to a new file of gzipped JSON lines, and sync it."""
    rows = 0
    try:
        with path.open("xb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
            for line in _lines(connection, month):
                file.write(line)
                rows += 1
        with path.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
            os.fsync(written.fileno())
    except OSError as error:
        raise ImageQueueError(f"archive: cannot write {path}: {error.strerror}") from error
    return Archived(month=month, rows=rows, sha256=digest)


def _lines(connection: Connection, month: str) -> Iterator[bytes]:
    for table in (attempt, outcome):
        query = select(table).where(_of_month(table, month)).order_by(*table.primary_key)
        with connection.execute(query, execution_options={"yield_per": ROWS_PER_READ}) as found:
            for row in found.mappings():
                yield json.dumps({"table": table.name, **row}, ensure_ascii=False).encode() + b"\n"


def _of_month(table: Table, month: str) -> ColumnElement[bool]:
    first, end = _days(month)
    return and_(table.c.day >= first, table.c.day < end)


def _days(month: str) -> tuple[str, str]:
    first = f"{month}-01"
    return first, start_of_next_month(first).date().isoformat()


def _months_back(month: str, count: int) -> str:
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 - count, 12)
    return f"{max(year, 0):04}-{number + 1:02}"
