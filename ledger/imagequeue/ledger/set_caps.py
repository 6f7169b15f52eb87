"""Caps that are set while workers run: they stand over the configured ones from the next hold of any worker on.

They are read inside the transaction of each hold, so no worker can go on with an old one. Each setting is an entry in
the chain, and `ledger audit` holds the table against it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypedDict, cast, get_args

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.sql import ClauseElement

from imagequeue.ledger import entries
from imagequeue.ledger.api import Cap, CapKind, HoldRequest
from imagequeue.ledger.clauses import text_for, upsert
from imagequeue.ledger.compiler import Compiler
from imagequeue.ledger.operations import Step
from imagequeue.ledger.schema_caps import cap
from imagequeue.ledger.transaction import Query, storable
from imagequeue.ledger.unit import Unit

SetKind = Literal["org_month", "tenant_day", "tenant_month", "tenant_total"]
CapState = Literal["limit", "none", "configured"]
"""A limit of so much; no cap whatever is configured; what is configured."""
SET_KINDS: Final[tuple[SetKind, ...]] = get_args(SetKind)
TEXT_CHARACTERS_MAX: Final = 500


class CapColumns(TypedDict):
    """A row of `ledger_cap`."""

    name: str
    kind: CapKind
    state: CapState
    limit_nano: int | None
    set_at_us: int
    set_by: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SetCap(Step[bool]):
    """Set a cap of an organization or a tenant; False when the same one stands. `limit_nano` only for a limit."""

    kind: SetKind
    name: str
    state: CapState
    limit_nano: int | None
    by: str
    reason: str

    @property
    def subject(self) -> tuple[str, str, str]:
        """Return the cap."""
        return "cap", self.kind, self.name

    def perform(self, unit: Unit) -> bool:
        """Do it inside the transaction."""
        before = _rows(unit, [self.name])
        if any((row["kind"], row["state"], row["limit_nano"]) == self._wanted for row in before):
            return False
        by, reason = (storable(text, TEXT_CHARACTERS_MAX) or "" for text in (self.by, self.reason))
        row = {
            "name": self.name,
            "kind": self.kind,
            "state": self.state,
            "limit_nano": self.limit_nano,
            "set_at_us": unit.now_us,
            "set_by": by,
            "reason": reason,
        }
        unit.transaction.run(text_for(unit.transaction, _upsert), row)
        memo = f"{self.state} {self.limit_nano or 0} by {by}: {reason}"
        unit.entries.append(entries.cap_set(self.kind, self.name, unit.day, memo))
        return True

    @property
    def _wanted(self) -> tuple[str, str, int | None]:
        return self.kind, self.state, self.limit_nano


def set_caps_query(unit: Unit, names: Iterable[str]) -> Query:
    """Return what asks for the caps that were set of organizations and tenants."""
    return text_for(unit.transaction, _of_names), {"names": unit.transaction.listed(sorted(names))}


def with_set_caps(requests: list[HoldRequest], rows: list[object]) -> list[HoldRequest]:
    """Return the holds under the caps that stand now, given what `set_caps_query` found for them."""
    standing = [row for row in cast("list[CapColumns]", rows) if row["state"] != "configured"]
    if not standing:
        return requests
    return [replace(one, caps=effective(one.caps, _limits_of(standing, one))) for one in requests]


def effective(configured: Iterable[Cap], limits: Mapping[CapKind, int | None]) -> tuple[Cap, ...]:
    """Return the configured caps, those that were set in the place of theirs. A limit of None: no such cap."""
    kept = [one for one in configured if one.kind not in limits]
    return (*kept, *(Cap(kind=kind, limit_nano=nano) for kind, nano in limits.items() if nano is not None))


def caps_that_were_set(connection: Connection) -> Sequence[CapColumns]:
    """Return the caps that stand over configured ones, by name."""
    query = select(cap).where(cap.c.state != "configured").order_by(cap.c.name, cap.c.kind)
    return cast("Sequence[CapColumns]", connection.execute(query).mappings().all())


def _limits_of(standing: Iterable[CapColumns], request: HoldRequest) -> dict[CapKind, int | None]:
    return {
        row["kind"]: row["limit_nano"]
        for row in standing
        if row["name"] == (request.org if row["kind"] == "org_month" else request.tenant)
    }


def _rows(unit: Unit, names: list[str]) -> list[CapColumns]:
    return cast("list[CapColumns]", unit.transaction.rows(*set_caps_query(unit, names)))


def _of_names(dialect_name: str) -> ClauseElement:
    return select(cap).where(Compiler(dialect_name).among(cap.c.name, "names"))


def _upsert(dialect_name: str) -> ClauseElement:
    values = {name: bindparam(name, type_=cap.c[name].type) for name in cap.c.keys()}  # noqa: SIM118  # a column collection iterates over columns
    wanted = upsert(cap, dialect_name).values(values)
    changed = {name: wanted.excluded[name] for name in values if name not in ("name", "kind")}
    return wanted.on_conflict_do_update(index_elements=["name", "kind"], set_=changed)
