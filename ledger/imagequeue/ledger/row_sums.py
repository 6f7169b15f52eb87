"""Sums that are added up from the rows of attempts, first answers, outcomes and savings."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, cast

from sqlalchemy import ColumnElement, Connection, Table, and_, func, literal, text, true

from imagequeue.ledger.period import Part, Period
from imagequeue.ledger.rows import NO_TAGS
from imagequeue.ledger.schema import SIDE, attempt, outcome
from imagequeue.ledger.schema_reports import first_answer, saving
from imagequeue.ledger.sums import BOOKED, Key, SumColumns, Sums, grouped, outcome_sums, saving_sums, sum_if

TAG: Final = "tag:"
INTENT: Final = "intent"

Condition = ColumnElement[bool]
Choice = Callable[[Table, str], Condition]
"""Which rows of a table are added up, whose moment is in the column of that name."""


def sums_of_rows(
    connection: Connection, group_by: Sequence[str], over: Period, chosen: Choice, *, with_intent: bool
) -> dict[Key, Sums]:
    """Return the sums of each group over the chosen rows; `with_intent`: over those of them that have one."""
    found: dict[Key, Sums] = {}
    for table, sums, at in _tables():
        where = and_(chosen(table, at), *_narrow(table, over, with_intent=with_intent))
        add(found, _of_table(connection, table, sums, group_by, where))
    return found


def sums_of_part(
    connection: Connection, group_by: Sequence[str], over: Period, part: Part, *, with_intent: bool = False
) -> dict[Key, Sums]:
    """Return `sums_of_rows` over a part of a day."""

    def chosen(table: Table, at: str) -> Condition:
        return and_(whose(table, over), within(table, at, part))

    return sums_of_rows(connection, group_by, over, chosen, with_intent=with_intent)


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


def add(to: dict[Key, Sums], more: Mapping[Key, Sums], times: int = 1) -> None:
    """Add sums to those that are there, so many times; -1 takes them away."""
    for key, sums in more.items():
        kept = to.setdefault(key, {})
        for name, amount in sums.items():
            kept[name] = kept.get(name, 0) + amount * times


def _tables() -> Iterator[tuple[Table, SumColumns, str]]:
    """Yield each table that is added up, what is summed over it, and the column with the moment of a row."""
    yield attempt, _state_sums(), "held_at_us"
    yield first_answer, {"intents": func.count()}, "held_at_us"
    yield outcome, outcome_sums(), "finished_at_us"
    yield saving, saving_sums(), "at_us"


def _of_table(
    connection: Connection, table: Table, sums: SumColumns, group_by: Sequence[str], where: Condition
) -> dict[Key, Sums]:
    """Return the sums by key. Tags are read once for each set of them, and not in every row."""
    facts = _facts(table)
    plain = [name for name in group_by if not name.startswith(TAG)]
    keys = [facts.c[name] for name in (plain if plain == list(group_by) else [*plain, "tags"])]
    if table is attempt:
        found = _by_state(grouped(connection, [*keys, attempt.c.state], sums, where))
    else:
        found = grouped(connection, keys, sums, where)
    return found if len(keys) == len(plain) else _by_tag_value(group_by, found)


def _state_sums() -> SumColumns:
    """Return what is summed over the attempts of one state: half as many sums as over all, of less each."""
    over = attempt.c.usd_nano > attempt.c.upper_bound_nano
    return {
        "attempts": func.count(),
        "usd_nano": func.sum(attempt.c.usd_nano),
        "upper_bound_nano": func.sum(attempt.c.upper_bound_nano),
        "images": func.sum(attempt.c.images),
        "over_bound": sum_if(over, literal(1)),
        "over_bound_nano": sum_if(over, attempt.c.usd_nano - attempt.c.upper_bound_nano),
        "answers": sum_if(and_(attempt.c.intent.is_not(None), attempt.c.images > 0), literal(1)),
    }


def _by_state(rows: Mapping[Key, Sums]) -> dict[Key, Sums]:
    """Return `sums.attempt_sums` by key, given the sums by key and state."""
    found: dict[Key, Sums] = {}
    for (*key, state), row in rows.items():
        add(found, {tuple(key): _measures(cast("str", state), row)})
    return found


def _measures(state: str, row: Sums) -> Sums:
    known = {state: row["attempts"], "images": row["images"]}
    if state not in BOOKED:
        return known | {f"{state}_nano": row["upper_bound_nano"]}
    same = {name: row[name] for name in ("over_bound", "over_bound_nano", "answers")}
    return known | same | {"settled_nano": row["usd_nano"]}


def _by_tag_value(group_by: Sequence[str], rows: Mapping[Key, Sums]) -> dict[Key, Sums]:
    """Return the sums by the names asked for, given those by all that are no tags and the whole set of tags."""
    found: dict[Key, Sums] = {}
    for (*plain, text_of_tags), sums in rows.items():
        tags, others = cast("dict[str, str]", json.loads(text_of_tags or NO_TAGS)), iter(plain)
        key = tuple(tags.get(name.removeprefix(TAG)) if name.startswith(TAG) else next(others) for name in group_by)
        add(found, {key: sums})
    return found


def _facts(table: Table) -> Table:
    """Return the table that says what a row is grouped by."""
    return attempt if table is first_answer else table


def _narrow(table: Table, over: Period, *, with_intent: bool) -> Iterator[Condition]:
    """Yield what limits a table's rows to those that are added up, in words that its partial indexes understand."""
    facts = _facts(table)
    if table is outcome:
        yield text("kept_images > 0" if with_intent else f"({SIDE})")  # type: ignore[misc]  # a text stands for a condition
    if table is first_answer:
        yield and_(
            attempt.c.tenant == first_answer.c.tenant,
            attempt.c.intent == first_answer.c.intent,
            attempt.c.id == first_answer.c.attempt_id,
        )
    if with_intent or table is first_answer:
        yield facts.c.intent.is_not(None)
    if with_intent and over.intents is not None:
        yield facts.c.intent.in_(over.intents)
