"""Batches in the ledger: which attempts are in which, how far each has come, and whose it is at the moment.

    formed ──► uploaded ──► open ──► ended ──► closed
               file_id      batch_id  every line is booked; then every job is told

A worker claims a batch for a while and moves it on; every move is made only by the one that has it.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from sqlalchemy import BigInteger, Update, and_, bindparam, insert, literal_column, null, select, update
from sqlalchemy.sql import ClauseElement

from imagequeue.ledger.batch_records import Batch, BatchColumns, BatchState, WaitingGroup, batch_of, waiting
from imagequeue.ledger.clauses import text_for
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.moments import microseconds
from imagequeue.ledger.operations import Step
from imagequeue.ledger.schema_provider import batch, batch_item
from imagequeue.ledger.transaction import storable
from imagequeue.ledger.unit import Unit

Values = dict[str, object]
NOTE_CHARACTERS_MAX: Final = 500


async def form(ledger: Ledger, group: WaitingGroup, *, ref: str, formed_before: datetime, most: int, full: int) -> bool:
    """Make a batch of a group's oldest attempts, at most `most`; False when another worker was faster.

    Only if one has waited since `formed_before`, or `full` of them wait.
    """
    return await ledger.submit(_Form(group=group, ref=ref, before_us=microseconds(formed_before), most=most, full=full))


async def claim(ledger: Ledger, worker: str, lease_seconds: float) -> Batch | None:
    """Take the batch that is due longest and nobody's, None when there is none."""
    return await ledger.submit(_Claim(worker=worker, lease_seconds=lease_seconds))


async def renew(ledger: Ledger, ref: str, worker: str, lease_seconds: float) -> bool:
    """Keep a batch for longer; False when it is another worker's by now."""
    return await ledger.submit(_Change(ref=ref, worker=worker, lease_seconds=lease_seconds))


async def note_create(ledger: Ledger, ref: str, worker: str) -> bool:
    """Note that the provider is about to be asked to make the batch: from now on it may have it."""
    return await ledger.submit(_Change(ref=ref, worker=worker, creating=True))


async def advance(
    ledger: Ledger,
    ref: str,
    worker: str,
    state: BatchState,
    *,
    file_id: str | None = None,
    batch_id: str | None = None,
    items: int | None = None,
) -> bool:
    """Move a batch on and keep it; False when it is another worker's by now."""
    change = _Change(ref=ref, worker=worker, state=state, file_id=file_id, batch_id=batch_id, items=items)
    return await ledger.submit(change)


async def put_back(ledger: Ledger, ref: str, worker: str, due: datetime, *, failure: str | None = None) -> bool:
    """Give a batch up until it is due again; `failure` says what did not work."""
    return await ledger.submit(_PutBack(ref=ref, worker=worker, due_us=microseconds(due), failure=failure))


async def leave_out(ledger: Ledger, attempt_ids: Sequence[int], *, again: bool) -> None:
    """Take attempts out of their batch before it is sent: to wait for the next one (`again`), or for good."""
    if attempt_ids:
        await ledger.submit(_LeaveOut(attempt_ids=tuple(attempt_ids), again=again))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form(Step[bool]):
    group: WaitingGroup
    ref: str
    before_us: int
    most: int
    full: int

    @property
    def subject(self) -> Hashable:
        return "batches", self.group.org, self.group.model

    def perform(self, unit: Unit) -> bool:
        of = {"org": self.group.org, "model": self.group.model, "operation": self.group.operation, "most": self.most}
        found = cast("list[dict[str, int]]", unit.transaction.rows(text_for(unit.transaction, _waiting_items), of))
        if not found or (found[0]["added_at_us"] > self.before_us and len(found) < self.full):
            return False
        unit.touched = True
        taken = [{"of": row["attempt_id"], "ref": self.ref} for row in found]
        row = {
            "ref": self.ref, "org": of["org"], "model": of["model"], "operation": of["operation"], "state": "formed",
            "items": len(found), "file_id": None, "batch_id": None, "created_at_us": unit.now_us,
            "create_tried_at_us": None, "due_at_us": unit.now_us, "ended_at_us": None, "claimed_by": None,
            "claimed_until_us": 0, "failures": 0, "note": "",
        }  # fmt: skip
        unit.transaction.run(text_for(unit.transaction, _insert_batch), row)
        unit.transaction.run_all([(text_for(unit.transaction, _take_item), taken)])
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class _Claim(Step[Batch | None]):
    worker: str
    lease_seconds: float

    @property
    def subject(self) -> Hashable:
        return "batch"

    def perform(self, unit: Unit) -> Batch | None:
        found = unit.transaction.rows(text_for(unit.transaction, _due_batch), {"now_us": unit.now_us})
        if not found:
            return None
        row = cast("BatchColumns", found[0])
        until_us = unit.now_us + round(self.lease_seconds * 1_000_000)
        unit.touched = True
        claimed = {"of": row["ref"], "claimed_by": self.worker, "claimed_until_us": until_us}
        unit.transaction.run(text_for(unit.transaction, _claim_batch), claimed)
        return batch_of(row)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change(Step[bool]):
    ref: str
    worker: str
    state: BatchState | None = None
    file_id: str | None = None
    batch_id: str | None = None
    items: int | None = None
    creating: bool = False
    lease_seconds: float | None = None

    @property
    def subject(self) -> Hashable:
        return "batch", self.ref

    def perform(self, unit: Unit) -> bool:
        mine = {"of": self.ref, "by": self.worker}
        found = unit.transaction.rows(text_for(unit.transaction, _mine_now), mine)
        if not found:
            return False
        row = cast("dict[str, object]", dict(cast("dict[str, object]", found[0])))
        changes = {
            "state": self.state, "file_id": self.file_id, "batch_id": self.batch_id, "items": self.items,
            "create_tried_at_us": unit.now_us if self.creating else None,
            "ended_at_us": unit.now_us if self.state == "closed" else None,
            "claimed_until_us": self._until_us(unit),
            "failures": None if self.state is None else 0,
            "note": None if self.state is None else "",
        }  # fmt: skip
        values = {name: row[name] if value is None else value for name, value in changes.items()}
        unit.touched = True
        return unit.transaction.run(text_for(unit.transaction, _change_batch), {**values, **mine}) == 1

    def _until_us(self, unit: Unit) -> int | None:
        return None if self.lease_seconds is None else unit.now_us + round(self.lease_seconds * 1_000_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class _PutBack(Step[bool]):
    ref: str
    worker: str
    due_us: int
    failure: str | None

    @property
    def subject(self) -> Hashable:
        return "batch", self.ref

    def perform(self, unit: Unit) -> bool:
        unit.touched = True
        values = {
            "of": self.ref,
            "by": self.worker,
            "due_at_us": self.due_us,
            "claimed_until_us": 0,
            "more": 0 if self.failure is None else 1,
            "note": storable(self.failure or "", NOTE_CHARACTERS_MAX),
        }
        return unit.transaction.run(text_for(unit.transaction, _put_back), values) == 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _LeaveOut(Step[None]):
    attempt_ids: tuple[int, ...]
    again: bool

    def perform(self, unit: Unit) -> None:
        unit.touched = True
        done_us = None if self.again else unit.now_us
        rows = [{"of": attempt_id, "done_at_us": done_us} for attempt_id in self.attempt_ids]
        unit.transaction.run_all([(text_for(unit.transaction, _leave_out), rows)])


def _waiting_items(_dialect_name: str) -> ClauseElement:
    of = [batch_item.c[name] == bindparam(name) for name in ("org", "model", "operation")]
    query = select(batch_item.c.attempt_id, batch_item.c.added_at_us).where(waiting(), *of)
    oldest = query.order_by(batch_item.c.added_at_us, batch_item.c.attempt_id)
    return oldest.limit(bindparam("most")).offset(literal_column("0")).with_for_update()


def _insert_batch(_dialect_name: str) -> ClauseElement:
    return insert(batch)


def _take_item(_dialect_name: str) -> ClauseElement:
    return update(batch_item).where(batch_item.c.attempt_id == bindparam("of")).values(batch_ref=bindparam("ref"))


def _leave_out(_dialect_name: str) -> ClauseElement:
    values: Values = {"batch_ref": null(), "done_at_us": bindparam("done_at_us")}
    return update(batch_item).where(batch_item.c.attempt_id == bindparam("of")).values(values)


def _due_batch(_dialect_name: str) -> ClauseElement:
    now_us = bindparam("now_us", type_=BigInteger)
    unfinished = batch.c.state != literal_column("'closed'")
    due = and_(unfinished, batch.c.due_at_us <= now_us, batch.c.claimed_until_us <= now_us)
    return (
        select(batch)
        .where(due)
        .order_by(batch.c.due_at_us)
        .limit(literal_column("1"))
        .offset(literal_column("0"))
        .with_for_update(skip_locked=True)
    )


def _claim_batch(_dialect_name: str) -> ClauseElement:
    values: Values = {name: bindparam(name) for name in ("claimed_by", "claimed_until_us")}
    return update(batch).where(batch.c.ref == bindparam("of")).values(values)


def _mine_now(_dialect_name: str) -> ClauseElement:
    return select(batch).where(batch.c.ref == bindparam("of"), batch.c.claimed_by == bindparam("by")).with_for_update()


CHANGED: Final = (
    "state", "file_id", "batch_id", "items", "create_tried_at_us", "ended_at_us", "claimed_until_us", "failures",
    "note",
)  # fmt: skip


def _change_batch(_dialect_name: str) -> ClauseElement:
    return _mine().values({name: bindparam(name) for name in CHANGED})


def _put_back(_dialect_name: str) -> ClauseElement:
    failures = batch.c.failures + bindparam("more", type_=batch.c.failures.type)
    values: Values = {name: bindparam(name) for name in ("due_at_us", "claimed_until_us", "note")}
    return _mine().values({**values, "failures": failures})


def _mine() -> Update:
    return update(batch).where(batch.c.ref == bindparam("of"), batch.c.claimed_by == bindparam("by"))
