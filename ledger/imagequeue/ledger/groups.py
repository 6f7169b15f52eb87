"""Sums by any grouping over any period, from the sums that are kept by day wherever there are any.

- day, org, model, tenant, priority: from `ledger_rollup`, a few rows a day however many attempts there are.
- tag:KEY: from `ledger_tag_rollup`, as many rows as there are different sets of tags; what has none is the rest.
- intent: from the attempts that name one; what names none is the rest. Of very many intents, only the dearest are told
  apart, see `intent_choice`, and the others belong to the rest.
- Parts of a day, at the ends of a period: from the attempts of these days.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

from sqlalchemy import (
    CTE,
    JSON,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    and_,
    func,
    select,
    text,
    true,
)
from sqlalchemy import cast as sql_cast

from imagequeue.ledger.period import Part, Period
from imagequeue.ledger.rows import NO_TAGS
from imagequeue.ledger.schema import SIDE, attempt, outcome
from imagequeue.ledger.schema_reports import MEASURES, first_answer, rollup, saving, tag_rollup, tag_set
from imagequeue.ledger.sums import Key, SumColumns, Sums, attempt_sums, grouped, outcome_sums, saving_sums

GROUPS_MAX: Final = 100_000
TAG: Final = "tag:"
INTENT: Final = "intent"

Condition = ColumnElement[bool]
Columns = TypeVar("Columns", bound=FromClause)


def sums_by(connection: Connection, group_by: Sequence[str], over: Period) -> dict[Key, Sums]:
    """Return the sums of each group. By intent, those that the period names are told apart, or all."""
    if INTENT in group_by:
        return _with_rest(connection, group_by, over, _by_intent(connection, group_by, over))
    if any(name.startswith(TAG) for name in group_by):
        return _with_rest(connection, group_by, over, _by_tag(connection, group_by, over))
    found: dict[Key, Sums] = {}
    if not over.no_days:
        keys = [rollup.c[name] for name in group_by]
        _add(found, grouped(connection, keys, _kept_sums(rollup), days_of(rollup, over)))
    _add_parts(connection, found, group_by, over, ())
    return found


def _with_rest(
    connection: Connection, group_by: Sequence[str], over: Period, found: dict[Key, Sums]
) -> dict[Key, Sums]:
    """Return the groups and, under None, what belongs to none of them: all there is, less the groups."""
    special = INTENT if INTENT in group_by else TAG
    others = [name for name in group_by if not name.startswith(special)]
    rest = sums_by(connection, others, over)
    for key, sums in found.items():
        among = tuple(part for name, part in zip(group_by, key, strict=True) if not name.startswith(special))
        _add(rest, {among: {name: -amount for name, amount in sums.items()}})
    for key, sums in rest.items():
        if any(sums.values()):
            parts = iter(key)
            _add(found, {tuple(None if name.startswith(special) else next(parts) for name in group_by): sums})
    return found


def _by_tag(connection: Connection, group_by: Sequence[str], over: Period) -> dict[Key, Sums]:
    found: dict[Key, Sums] = {}
    if not over.no_days:
        named = _tag_values(connection, group_by)
        keys = [
            named.c[f"value_{at}"] if name.startswith(TAG) else tag_rollup.c[name] for at, name in enumerate(group_by)
        ]
        mine = and_(tag_rollup.c.tags_key == named.c.key, days_of(tag_rollup, over))
        _add(found, grouped(connection, keys, _kept_sums(tag_rollup), mine))
    _add_parts(connection, found, group_by, over, ("tags",))
    return found


def _tag_values(connection: Connection, group_by: Sequence[str]) -> CTE:
    """Return the values of the tags asked for, read once for each set of tags and not for each of its rows."""
    values = [
        _tag(connection, tag_set, name).label(f"value_{at}") for at, name in enumerate(group_by) if name.startswith(TAG)
    ]
    query: Select[tuple[object, ...]] = select(tag_set.c.key, *values)
    return query.cte("named").prefix_with("MATERIALIZED")


def _by_intent(connection: Connection, group_by: Sequence[str], over: Period) -> dict[Key, Sums]:
    found: dict[Key, Sums] = {}
    if not over.no_days:
        for table, sums, _ in _row_sums():
            where = and_(days_of(table, over), *_narrow(table, over, (INTENT,)))
            _add(found, _of_rows(connection, table, sums, group_by, where))
    _add_parts(connection, found, group_by, over, (INTENT,))
    return found


def _add_parts(
    connection: Connection, found: dict[Key, Sums], group_by: Sequence[str], over: Period, having: Sequence[str]
) -> None:
    for part in over.parts:
        for table, sums, at in _row_sums():
            where = and_(whose(table, over), within(table, at, part), *_narrow(table, over, having))
            _add(found, _of_rows(connection, table, sums, group_by, where))


def _row_sums() -> Iterator[tuple[Table, SumColumns, str]]:
    """Yield each table that is added up, what is summed over it, and the column with the moment of a row."""
    yield attempt, attempt_sums(), "held_at_us"
    yield first_answer, {"intents": func.count()}, "held_at_us"
    yield outcome, outcome_sums(), "finished_at_us"
    yield saving, saving_sums(), "at_us"


def _of_rows(
    connection: Connection, table: Table, sums: SumColumns, group_by: Sequence[str], where: Condition
) -> dict[Key, Sums]:
    facts = _facts(table)
    keys = [_tag(connection, facts, name) if name.startswith(TAG) else facts.c[name] for name in group_by]
    return grouped(connection, keys, sums, where)


def _facts(table: Table) -> Table:
    """Return the table that says what a row is grouped by."""
    return attempt if table is first_answer else table


def _narrow(table: Table, over: Period, having: Sequence[str]) -> Iterator[Condition]:
    """Yield what limits a table's rows to those that are added up, in words that its partial indexes understand."""
    facts = _facts(table)
    if table is outcome:
        yield text("kept_images > 0" if INTENT in having else f"({SIDE})")  # type: ignore[misc]  # a text stands for a condition
    if table is first_answer:
        yield and_(
            attempt.c.tenant == first_answer.c.tenant,
            attempt.c.intent == first_answer.c.intent,
            attempt.c.id == first_answer.c.attempt_id,
        )
    if INTENT in having or table is first_answer:
        yield facts.c.intent.is_not(None)
    if INTENT in having and over.intents is not None:
        yield facts.c.intent.in_(over.intents)
    if "tags" in having:
        yield facts.c.tags != NO_TAGS


def _tag(connection: Connection, table: Table, name: str) -> ColumnElement[str | None]:
    tag = name.removeprefix(TAG)
    if connection.dialect.name == "sqlite":
        pairs = func.json_each(table.c.tags).table_valued("key", "value")
        return select(pairs.c.value).where(pairs.c.key == tag).correlate(table).scalar_subquery()
    return func.json_extract_path_text(sql_cast(table.c.tags, JSON), tag)


def _kept_sums(table: Table) -> SumColumns:
    return {name: func.sum(table.c[name]) for name in MEASURES}


def days_of(table: Table, over: Period) -> Condition:
    """Return the condition that a row of the table is of a whole day of the period."""
    day = _facts(table).c.day
    after = true() if over.first_day is None else day >= over.first_day
    return and_(whose(table, over), after, true() if over.end_day is None else day < over.end_day)


def whose(table: Table, over: Period) -> Condition:
    """Return the condition that a row of the table is of the period's tenant."""
    return true() if over.tenant is None else _facts(table).c.tenant == over.tenant


def within(table: Table, at: str, part: Part) -> Condition:
    """Return the condition that a row of the table, whose moment is in column `at`, is of a part of a day."""
    facts = _facts(table)
    after = true() if part.since_us is None else facts.c[at] >= part.since_us
    before = true() if part.until_us is None else facts.c[at] < part.until_us
    return and_(facts.c.day == part.day, after, before)


def _add(to: dict[Key, Sums], more: Mapping[Key, Sums]) -> None:
    for key, sums in more.items():
        kept = to.setdefault(key, {})
        for name, amount in sums.items():
            kept[name] = kept.get(name, 0) + amount
