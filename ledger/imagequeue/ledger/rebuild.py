"""The kept sums once more, from the rows alone: what the audit compares with."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select, true

from imagequeue.ledger.caps import scopes
from imagequeue.ledger.rows import NO_TAGS, tags_key
from imagequeue.ledger.schema import attempt, entry, outcome
from imagequeue.ledger.schema_reports import DIMENSIONS, first_answer, saving
from imagequeue.ledger.sums import SumColumns, attempt_sums, grouped, outcome_sums, saving_sums

RollupCell = tuple[str, ...]
"""The dimensions of a rollup row, then the name of a measure."""


def balances(connection: Connection) -> dict[str, int]:
    """Return what each scope has used: settled, held, in doubt, and corrections for organizations."""
    used = func.sum(func.coalesce(attempt.c.usd_nano, attempt.c.upper_bound_nano))
    keys = (attempt.c.org, attempt.c.tenant, attempt.c.day)
    query = select(*keys, used).group_by(*keys)
    found: dict[str, int] = defaultdict(int)
    for org, tenant, day, amount in connection.execute(query):
        for scope in scopes(org, tenant, day):
            found[scope] += int(amount)
    for (day, org), amount in corrections(connection).items():
        found[f"org:{day[:7]}:{org}"] += amount
    return found


def rollups(connection: Connection) -> dict[RollupCell, int]:
    """Return every cell of the rollup that is not zero; corrections without their model, which entries do not name."""
    found = _cells(connection, DIMENSIONS)
    for (day, org), amount in corrections(connection).items():
        found[day, org, "", "", "", "corrected_nano"] = amount
    return {cell: amount for cell, amount in found.items() if amount}


def tag_rollups(connection: Connection) -> dict[RollupCell, int]:
    """Return every cell of the rollup by tags that is not zero."""
    found = _cells(connection, (*DIMENSIONS, "tags"), tagged=True)
    return {(*key, tags_key(tags), name): amount for (*key, tags, name), amount in found.items() if amount}


def _cells(connection: Connection, names: Sequence[str], *, tagged: bool = False) -> dict[RollupCell, int]:
    found: dict[RollupCell, int] = {}
    first = and_(attempt.c.id == first_answer.c.attempt_id, attempt.c.tenant == first_answer.c.tenant)
    parts: tuple[tuple[Table, SumColumns, ColumnElement[bool]], ...] = (
        (attempt, attempt_sums(), true()),
        (attempt, {"intents": func.count()}, first),
        (outcome, outcome_sums(), true()),
        (saving, saving_sums(), true()),
    )
    for table, sums, where in parts:
        having = and_(where, table.c.tags != NO_TAGS) if tagged else where
        rows = grouped(connection, [table.c[name] for name in names], sums, having)
        found |= {(*map(str, key), name): amount for key, amounts in rows.items() for name, amount in amounts.items()}
    return found


def corrections(connection: Connection) -> dict[tuple[str, str], int]:
    """Return what was corrected, by day and organization."""
    query = select(entry.c.day, entry.c.debit, entry.c.credit, entry.c.amount_nano).where(entry.c.kind == "correction")
    found: dict[tuple[str, str], int] = defaultdict(int)
    for day, debit, credit, amount in connection.execute(query):
        added = debit.startswith("spent:")
        org = (debit if added else credit).partition(":")[2]
        found[day, org] += amount if added else -amount
    return found
