"""Sums by any grouping over any period, from the sums that are kept by day wherever there are any.

- day, org, model, tenant, priority: from `ledger_rollup`, a few rows a day however many attempts there are.
- tag:KEY: from `ledger_tag_rollup`, as many rows as there are different sets of tags; what has none is the rest.
- intent: from the attempts that name one; what names none is the rest. Of very many intents, only the dearest are told
  apart, see `intent_choice`, and the others belong to the rest.
- Parts of a day, at the ends of a period: from the rows of that part. Of more than half a day, the day's sums less
  the rows of the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import CTE, JSON, ColumnElement, Connection, Select, Table, and_, func, select
from sqlalchemy import cast as sql_cast

from imagequeue.ledger.period import Period, the_rest, whole_day
from imagequeue.ledger.row_sums import INTENT, TAG, add, days_of, sums_of_part, sums_of_rows
from imagequeue.ledger.schema_reports import MEASURES, rollup, tag_rollup, tag_set
from imagequeue.ledger.sums import Key, SumColumns, Sums, grouped

GROUPS_MAX: Final = 100_000
LONG_PART_SECONDS: Final = 43_200.0
"""Of a longer part of a day, fewer rows are in the rest of the day."""

Kept = Callable[[Connection, Sequence[str], Period], dict[Key, Sums]]
"""Returns the sums by group of the whole days of a period."""


def sums_by(connection: Connection, group_by: Sequence[str], over: Period) -> dict[Key, Sums]:
    """Return the sums of each group. By intent, those that the period names are told apart, or all."""
    if INTENT in group_by:
        found = _by_intent(connection, group_by, over)
        return _with_rest(found, group_by, INTENT, sums_by(connection, _without(group_by, INTENT), over))
    tagged = any(name.startswith(TAG) for name in group_by)
    return _of_period(connection, group_by, over, _kept_by_tag if tagged else _kept)


def _with_rest(found: dict[Key, Sums], group_by: Sequence[str], special: str, rest: dict[Key, Sums]) -> dict[Key, Sums]:
    """Return the groups and, under None, what belongs to none of them: all there is, less the groups."""
    for key, sums in found.items():
        among = tuple(part for name, part in zip(group_by, key, strict=True) if not name.startswith(special))
        add(rest, {among: sums}, -1)
    for key, sums in rest.items():
        if any(sums.values()):
            parts = iter(key)
            add(found, {tuple(None if name.startswith(special) else next(parts) for name in group_by): sums})
    return found


def _without(group_by: Sequence[str], special: str) -> list[str]:
    return [name for name in group_by if not name.startswith(special)]


def _by_intent(connection: Connection, group_by: Sequence[str], over: Period) -> dict[Key, Sums]:
    found = {}
    if not over.no_days:
        found = sums_of_rows(connection, group_by, over, lambda table, _: days_of(table, over), with_intent=True)
    for part in over.parts:
        add(found, sums_of_part(connection, group_by, over, part, with_intent=True))
    return found


def _of_period(connection: Connection, group_by: Sequence[str], over: Period, kept: Kept) -> dict[Key, Sums]:
    found = {} if over.no_days else kept(connection, group_by, over)
    for part in over.parts:
        if part.seconds <= LONG_PART_SECONDS:
            add(found, sums_of_part(connection, group_by, over, part))
            continue
        left = _kept_but_corrections(kept(connection, group_by, replace(whole_day(part), tenant=over.tenant)))
        for other in the_rest(part):
            add(left, sums_of_part(connection, group_by, over, other), -1)
        add(found, {key: sums for key, sums in left.items() if any(sums.values())})
    return found


def _kept_but_corrections(found: dict[Key, Sums]) -> dict[Key, Sums]:
    """Return the sums of a whole day without its corrections, which belong to no part of it."""
    return {
        key: {name: amount for name, amount in sums.items() if name != "corrected_nano"} for key, sums in found.items()
    }


def _kept(connection: Connection, group_by: Sequence[str], over: Period) -> dict[Key, Sums]:
    """Return the sums of whole days that are kept without tags."""
    keys = [rollup.c[name] for name in group_by]
    return grouped(connection, keys, _kept_sums(rollup), days_of(rollup, over))


def _kept_by_tag(connection: Connection, group_by: Sequence[str], over: Period) -> dict[Key, Sums]:
    """Return the sums of whole days by tag: those that are kept of what has tags, and the rest."""
    named = _tag_values(connection, group_by)
    keys = [named.c[f"value_{at}"] if name.startswith(TAG) else tag_rollup.c[name] for at, name in enumerate(group_by)]
    mine = and_(tag_rollup.c.tags_key == named.c.key, days_of(tag_rollup, over))
    found = grouped(connection, keys, _kept_sums(tag_rollup), mine)
    return _with_rest(found, group_by, TAG, _kept(connection, _without(group_by, TAG), over))


def _tag_values(connection: Connection, group_by: Sequence[str]) -> CTE:
    """Return the values of the tags asked for, read once for each set of tags and not for each of its rows."""
    values = [
        _tag(connection, tag_set, name).label(f"value_{at}") for at, name in enumerate(group_by) if name.startswith(TAG)
    ]
    query: Select[tuple[object, ...]] = select(tag_set.c.key, *values)
    return query.cte("named").prefix_with("MATERIALIZED")


def _tag(connection: Connection, table: Table, name: str) -> ColumnElement[str | None]:
    tag = name.removeprefix(TAG)
    if connection.dialect.name == "sqlite":
        pairs = func.json_each(table.c.tags).table_valued("key", "value")
        return select(pairs.c.value).where(pairs.c.key == tag).correlate(table).scalar_subquery()
    return func.json_extract_path_text(sql_cast(table.c.tags, JSON), tag)


def _kept_sums(table: Table) -> SumColumns:
    return {name: func.sum(table.c[name]) for name in MEASURES}
