"""The state of reconciliation, day by day: who is at it, when it was done, and what was left."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypedDict, cast

from sqlalchemy import (
    BigInteger,
    Connection,
    Update,
    bindparam,
    literal_column,
    select,
    update,
)
from sqlalchemy.sql import ClauseElement, ColumnElement

from imagequeue.config.clock import iso
from imagequeue.config.money import format_usd
from imagequeue.ledger.clauses import text_for, upsert
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.moments import microseconds, microseconds_or_none, moment_or_none
from imagequeue.ledger.operations import Step
from imagequeue.ledger.reconciling import DayReport
from imagequeue.ledger.schedule import DAYS_BACK_MAX, next_check, retry_after
from imagequeue.ledger.schema_provider import reconciliation
from imagequeue.ledger.schema_reports import rollup
from imagequeue.ledger.transaction import storable
from imagequeue.ledger.unit import Unit

NOTE_CHARACTERS_MAX: Final = 500


class ReconciliationColumns(TypedDict):
    """A row of `ledger_reconciliation`."""

    org: str
    day: str
    next_at_us: int | None
    checked_at_us: int | None
    failures: int
    billed_nano: int | None
    unexplained_nano: int | None
    in_doubt: int | None
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DayState:
    """How far a day's reconciliation has come; `next_at` None: it is done for good."""

    org: str
    day: str
    checked_at: datetime | None
    next_at: datetime | None
    failures: int
    billed_nano: int | None
    unexplained_nano: int | None
    in_doubt: int | None
    note: str

    @property
    def is_open(self) -> bool:
        """Whether something is left that a person may want to look at."""
        return bool(self.failures or self.in_doubt or self.unexplained_nano or self.note)

    def as_json(self) -> dict[str, object]:
        """Return it as `status --json` prints it."""
        return {
            "org": self.org,
            "day": self.day,
            "checked_at": iso(self.checked_at) if self.checked_at else None,
            "next_at": iso(self.next_at) if self.next_at else None,
            "failures": self.failures,
            "billed_usd": None if self.billed_nano is None else format_usd(self.billed_nano),
            "unexplained_usd": None if self.unexplained_nano is None else format_usd(self.unexplained_nano),
            "in_doubt": self.in_doubt,
            "note": self.note,
        }


async def claim_day(ledger: Ledger, org: str, day: str, lease_seconds: float) -> bool:
    """Take a day that is due, for so long; False when somebody else has it, or had it and it is not due any more."""
    return await ledger.submit(_Claim(org=org, day=day, lease_seconds=lease_seconds))


async def note_done(ledger: Ledger, report: DayReport) -> None:
    """Note what a look at a day found; it is looked at again when its time comes."""
    note = report.warning or ""
    await ledger.submit(
        _End(
            org=report.org,
            day=report.day,
            billed_nano=report.billed_nano,
            unexplained_nano=report.unexplained_nano,
            in_doubt=report.in_doubt,
            note=note,
        )
    )


async def note_failed(ledger: Ledger, org: str, day: str, reason: str) -> None:
    """Note that a day could not be looked at; it is tried again, each time later."""
    await ledger.submit(_Fail(org=org, day=day, note=reason))


def states(connection: Connection, org: str, since_day: str) -> tuple[DayState, ...]:
    """Return the days from `since_day` on that were looked at, in order."""
    query = select(reconciliation).where(reconciliation.c.org == org, reconciliation.c.day >= since_day)
    rows = connection.execute(query.order_by(reconciliation.c.day)).mappings().all()
    return tuple(_state(row) for row in cast("Sequence[ReconciliationColumns]", rows))


def active_days(connection: Connection, org: str, since_day: str) -> list[str]:
    """Return the days from `since_day` on with calls of an organization."""
    query = select(rollup.c.day).distinct().where(rollup.c.org == org, rollup.c.day >= since_day, rollup.c.model != "")
    return list(connection.execute(query.order_by(rollup.c.day)).scalars())


def since_day(now: datetime) -> str:
    """Return the first day that is still looked at."""
    return (now - timedelta(days=DAYS_BACK_MAX)).date().isoformat()


def _state(row: ReconciliationColumns) -> DayState:
    return DayState(
        org=row["org"],
        day=row["day"],
        checked_at=moment_or_none(row["checked_at_us"]),
        next_at=moment_or_none(row["next_at_us"]),
        failures=row["failures"],
        billed_nano=row["billed_nano"],
        unexplained_nano=row["unexplained_nano"],
        in_doubt=row["in_doubt"],
        note=row["note"],
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Claim(Step[bool]):
    org: str
    day: str
    lease_seconds: float

    @property
    def subject(self) -> Hashable:
        return "reconciliation", self.org, self.day

    def perform(self, unit: Unit) -> bool:
        key = {"org": self.org, "day": self.day}
        unit.transaction.run(text_for(unit.transaction, _insert), {**key, "now_us": unit.now_us})
        until_us = unit.now_us + round(self.lease_seconds * 1_000_000)
        moved = {"of": self.org, "on": self.day, "now_us": unit.now_us, "until_us": until_us}
        unit.touched = True
        return unit.transaction.run(text_for(unit.transaction, _claim), moved) == 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _End(Step[bool]):
    org: str
    day: str
    billed_nano: int
    unexplained_nano: int
    in_doubt: int
    note: str

    @property
    def subject(self) -> Hashable:
        return "reconciliation", self.org, self.day

    def perform(self, unit: Unit) -> bool:
        unit.transaction.run(
            text_for(unit.transaction, _insert), {"org": self.org, "day": self.day, "now_us": unit.now_us}
        )
        next_at = next_check(self.day, cast("datetime", moment_or_none(unit.now_us)))
        values = {
            "of": self.org,
            "on": self.day,
            "claimed_until_us": 0,
            "checked_at_us": unit.now_us,
            "next_at_us": microseconds_or_none(next_at),
            "failures": 0,
            "billed_nano": self.billed_nano,
            "unexplained_nano": self.unexplained_nano,
            "in_doubt": self.in_doubt,
            "note": storable(self.note, NOTE_CHARACTERS_MAX),
        }
        unit.touched = True
        return unit.transaction.run(text_for(unit.transaction, _end), values) == 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fail(Step[bool]):
    org: str
    day: str
    note: str

    @property
    def subject(self) -> Hashable:
        return "reconciliation", self.org, self.day

    def perform(self, unit: Unit) -> bool:
        found = unit.transaction.rows(text_for(unit.transaction, _find), {"of": self.org, "on": self.day})
        if not found:
            return False
        failures = cast("ReconciliationColumns", found[0])["failures"] + 1
        now = cast("datetime", moment_or_none(unit.now_us))
        values = {
            "of": self.org,
            "on": self.day,
            "claimed_until_us": 0,
            "next_at_us": microseconds(now + retry_after(failures)),
            "failures": failures,
            "note": storable(self.note, NOTE_CHARACTERS_MAX),
        }
        unit.touched = True
        return unit.transaction.run(text_for(unit.transaction, _fail), values) == 1


def _insert(dialect_name: str) -> ClauseElement:
    values: dict[str, ColumnElement[object]] = {
        "org": bindparam("org"),
        "day": bindparam("day"),
        "claimed_until_us": literal_column("0"),
        "next_at_us": bindparam("now_us"),
        "failures": literal_column("0"),
        "note": literal_column("''"),
    }
    return upsert(reconciliation, dialect_name).values(values).on_conflict_do_nothing()


def _claim(_dialect_name: str) -> ClauseElement:
    now_us = bindparam("now_us", type_=BigInteger)
    free = (reconciliation.c.claimed_until_us <= now_us, reconciliation.c.next_at_us <= now_us)
    return _mine().where(*free).values(claimed_until_us=bindparam("until_us"))


def _end(_dialect_name: str) -> ClauseElement:
    names = (
        "claimed_until_us", "checked_at_us", "next_at_us", "failures", "billed_nano", "unexplained_nano", "in_doubt",
        "note",
    )  # fmt: skip
    return _mine().values({name: bindparam(name) for name in names})


def _fail(_dialect_name: str) -> ClauseElement:
    names = ("claimed_until_us", "next_at_us", "failures", "note")
    return _mine().values({name: bindparam(name) for name in names})


def _find(_dialect_name: str) -> ClauseElement:
    mine = (reconciliation.c.org == bindparam("of"), reconciliation.c.day == bindparam("on"))
    return select(reconciliation).where(*mine).with_for_update()


def _mine() -> Update:
    return update(reconciliation).where(
        reconciliation.c.org == bindparam("of"), reconciliation.c.day == bindparam("on")
    )
