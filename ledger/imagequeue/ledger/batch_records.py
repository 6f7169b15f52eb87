"""Batches and the attempts in them as values, and how they are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypedDict, cast

from sqlalchemy import Connection, Select, and_, func, select
from sqlalchemy.sql import ColumnElement

from imagequeue.config.clock import iso
from imagequeue.ledger.moments import moment, moment_or_none
from imagequeue.ledger.schema import attempt
from imagequeue.ledger.schema_provider import batch, batch_item

BatchState = Literal["formed", "uploaded", "open", "ended", "closed"]
ITEMS_PER_READ: Final = 500


class BatchColumns(TypedDict):
    """A row of `ledger_batch`."""

    ref: str
    org: str
    model: str
    operation: str
    state: BatchState
    items: int
    file_id: str | None
    batch_id: str | None
    created_at_us: int
    create_tried_at_us: int | None
    due_at_us: int
    ended_at_us: int | None
    failures: int
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One batch. `file_id` and `batch_id` are the provider's names; `ref` is ours and goes along to it."""

    ref: str
    org: str
    model: str
    operation: str
    state: BatchState
    items: int
    file_id: str | None
    batch_id: str | None
    created_at: datetime
    create_tried_at: datetime | None
    ended_at: datetime | None
    failures: int
    note: str

    def as_json(self) -> dict[str, object]:
        """Return it as commands print it."""
        return {
            "ref": self.ref,
            "org": self.org,
            "model": self.model,
            "state": self.state,
            "items": self.items,
            "batch_id": self.batch_id,
            "created_at": iso(self.created_at),
            "failures": self.failures,
            "note": self.note,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingGroup:
    """Attempts of one organization and model that wait for a batch."""

    org: str
    model: str
    operation: str
    items: int
    oldest_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchItem:
    """One attempt of a batch. `is_held`: it is not decided yet."""

    attempt_id: int
    job_id: str
    n: int
    size: str | None
    quality: str | None
    is_held: bool


def waiting_groups(connection: Connection) -> tuple[WaitingGroup, ...]:
    """Return who waits for a batch."""
    of = (batch_item.c.org, batch_item.c.model, batch_item.c.operation)
    query = select(*of, func.count(), func.min(batch_item.c.added_at_us)).where(waiting()).group_by(*of).order_by(*of)
    return tuple(
        WaitingGroup(org=org, model=model, operation=operation, items=items, oldest_at=moment(oldest_us))
        for org, model, operation, items, oldest_us in connection.execute(query)
    )


def unfinished(connection: Connection) -> tuple[Batch, ...]:
    """Return the batches that are not closed, the oldest first."""
    rows = connection.execute(select(batch).where(batch.c.state != "closed").order_by(batch.c.created_at_us)).mappings()
    return tuple(batch_of(cast("BatchColumns", row)) for row in rows)


def items_after(connection: Connection, ref: str, after: int, count: int = ITEMS_PER_READ) -> tuple[BatchItem, ...]:
    """Return a batch's attempts in the order of their ids, those after one."""
    return _items(connection, _of_items().where(batch_item.c.batch_ref == ref, batch_item.c.attempt_id > after), count)


def items_by_attempt(connection: Connection, ref: str, attempt_ids: Sequence[int]) -> dict[int, BatchItem]:
    """Return those of at most ITEMS_PER_READ attempts that are in a batch."""
    mine = _of_items().where(batch_item.c.batch_ref == ref, batch_item.c.attempt_id.in_(attempt_ids))
    return {item.attempt_id: item for item in _items(connection, mine, ITEMS_PER_READ)}


def _of_items() -> Select[tuple[object, ...]]:
    columns = (attempt.c.id, attempt.c.job_id, attempt.c.n, attempt.c.size, attempt.c.quality, attempt.c.state)
    return select(*columns).join_from(batch_item, attempt, attempt.c.id == batch_item.c.attempt_id)


def _items(connection: Connection, query: Select[tuple[object, ...]], count: int) -> tuple[BatchItem, ...]:
    rows = connection.execute(query.order_by(batch_item.c.attempt_id).limit(count)).mappings()
    return tuple(
        BatchItem(
            attempt_id=row["id"],
            job_id=row["job_id"],
            n=row["n"],
            size=row["size"],
            quality=row["quality"],
            is_held=row["state"] == "held",
        )
        for row in rows
    )


def batch_of(row: BatchColumns) -> Batch:
    """Return the batch of a row."""
    return Batch(
        ref=row["ref"],
        org=row["org"],
        model=row["model"],
        operation=row["operation"],
        state=row["state"],
        items=row["items"],
        file_id=row["file_id"],
        batch_id=row["batch_id"],
        created_at=moment(row["created_at_us"]),
        create_tried_at=moment_or_none(row["create_tried_at_us"]),
        ended_at=moment_or_none(row["ended_at_us"]),
        failures=row["failures"],
        note=row["note"],
    )


def waiting() -> ColumnElement[bool]:
    """Return the condition that an item is in no batch yet and not done."""
    return and_(batch_item.c.batch_ref.is_(None), batch_item.c.done_at_us.is_(None))
