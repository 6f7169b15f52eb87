"""Which intents a report tells apart: all while they are few, of more the dearest. The others stay in one line."""

from dataclasses import replace
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from imagequeue.ledger.period import Period
from imagequeue.ledger.row_sums import days_of, whose, within
from imagequeue.ledger.schema import attempt
from imagequeue.ledger.schema_reports import rollup

INTENTS_MAX: Final = 20_000
"""So many are listed; a report of more is nothing that anybody reads, and takes seconds."""
DEAREST: Final = 1_000


def with_dearest_intents(connection: Connection, over: Period) -> tuple[Period, int]:
    """Return the period with the intents that are told apart in it, and how many are not."""
    if _answered(connection, over) <= INTENTS_MAX:
        return over, 0
    cost = func.sum(func.coalesce(attempt.c.usd_nano, attempt.c.upper_bound_nano))
    query = select(attempt.c.intent, func.count().over()).where(attempt.c.intent.is_not(None), _in(over))
    dearest = query.group_by(attempt.c.intent).order_by(cost.desc(), attempt.c.intent).limit(DEAREST)
    rows = connection.execute(dearest).all()
    return replace(over, intents=tuple(intent for intent, _ in rows)), max(
        (count for _, count in rows), default=0
    ) - len(rows)


def _answered(connection: Connection, over: Period) -> int:
    """Return how many intents were answered first in the whole days of the period, from the sums that are kept."""
    if over.no_days:
        return 0
    return int(connection.execute(select(func.sum(rollup.c.intents)).where(days_of(rollup, over))).scalar() or 0)


def _in(over: Period) -> ColumnElement[bool]:
    parts = [and_(whose(attempt, over), within(attempt, "held_at_us", part)) for part in over.parts]
    return or_(*parts) if over.no_days else or_(days_of(attempt, over), *parts)
