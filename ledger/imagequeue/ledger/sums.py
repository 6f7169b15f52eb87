"""The sums of reports, as expressions over rows; the rollup keeps the same ones ready."""

from collections.abc import Sequence
from typing import Final, cast

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, case, func, literal, select
from sqlalchemy import cast as sql_cast

from imagequeue.ledger.schema import attempt, outcome
from imagequeue.ledger.schema_reports import saving

Key = tuple[str | None, ...]
Sums = dict[str, int]
SumColumns = dict[str, ColumnElement[int]]

KINDS: Final = ("cache", "coalesced", "batch", "overflow")
BOOKED: Final = ("settled", "reconciled")
STATES: Final = ("settled", "held", "in_doubt", "voided", "reconciled")


def attempt_sums() -> SumColumns:
    """Return what is summed over attempts."""
    booked = attempt.c.state.in_(BOOKED)
    over = and_(booked, attempt.c.usd_nano > attempt.c.upper_bound_nano)
    return {
        "settled_nano": sum_if(booked, attempt.c.usd_nano),
        "held_nano": sum_if(attempt.c.state == "held", attempt.c.upper_bound_nano),
        "in_doubt_nano": sum_if(attempt.c.state == "in_doubt", attempt.c.upper_bound_nano),
        "voided_nano": sum_if(attempt.c.state == "voided", attempt.c.upper_bound_nano),
        "over_bound_nano": sum_if(over, attempt.c.usd_nano - attempt.c.upper_bound_nano),
        **{name: sum_if(attempt.c.state == name, literal(1)) for name in STATES},
        "over_bound": sum_if(over, literal(1)),
        "images": func.sum(attempt.c.images),
        "answers": sum_if(and_(booked, attempt.c.intent.is_not(None), attempt.c.images > 0), literal(1)),
    }


def outcome_sums() -> SumColumns:
    """Return what is summed over outcomes."""
    return {"kept_images": func.sum(outcome.c.kept_images)}


def saving_sums() -> SumColumns:
    """Return what is summed over savings."""
    return {
        "cache_hits": sum_if(saving.c.kind == "cache", literal(1)),
        "coalesced": sum_if(saving.c.kind == "coalesced", literal(1)),
        "saved_nano": func.sum(saving.c.usd_nano),
        **{f"saved_{kind}_nano": sum_if(saving.c.kind == kind, saving.c.usd_nano) for kind in KINDS},
    }


def sum_if(condition: ColumnElement[bool], amount: ColumnElement[int]) -> ColumnElement[int]:
    """Return the sum over the rows that fulfil the condition."""
    return func.sum(case((condition, amount), else_=0))


def grouped(
    connection: Connection, keys: Sequence[ColumnElement[str | None]], sums: SumColumns, where: ColumnElement[bool]
) -> dict[Key, Sums]:
    """Return the sums by key, zero where there is nothing to add up."""
    named = [key.label(f"key_{at}") for at, key in enumerate(keys)]
    # PostgreSQL sums BIGINT into NUMERIC, which is slow to read; no sum of ours comes near 2**63.
    amounts = [sql_cast(func.coalesce(amount, 0), BigInteger).label(name) for name, amount in sums.items()]
    query = select(*named, *amounts).where(where).group_by(*named)
    return {
        cast("Key", tuple(row[: len(named)])): dict(zip(sums, cast("tuple[int, ...]", row[len(named) :]), strict=True))
        for row in cast("Sequence[tuple[object, ...]]", connection.execute(query).all())
    }
