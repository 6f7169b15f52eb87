"""Proves that the books are right, or names the first place where they are not.

Everything is read in one snapshot, so an audit may run while the ledger is written. The marks L1 to L12 are those of
`docs/ledger.md`. What needs two moments (L8: a restart loses nothing) or the provider (L9: our sums are its bill)
is not provable from the books alone; L10 is a constraint of the tables.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, TypeVar

from sqlalchemy import Connection, RowMapping, func, select, text

from imagequeue.config.clock import iso
from imagequeue.config.errors import LedgerBreach
from imagequeue.ledger.entries import HASH_OF_NOTHING, Entry, link_hash
from imagequeue.ledger.moments import moment
from imagequeue.ledger.rebuild import RollupCell, balances, rollups, tag_rollups
from imagequeue.ledger.schema import attempt, balance, entry, writer
from imagequeue.ledger.schema_reports import DIMENSIONS, MEASURES, rollup, tag_rollup

ENTRIES_PER_READ: Final = 10_000
TRIGGERS: Final = ("ledger_entry", "ledger_attempt")

Key = TypeVar("Key")


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One invariant: how many things it was checked on, and the first that breaks it."""

    mark: str
    states: str
    checked: int
    breach: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return the check as `ledger audit --json` prints it."""
        return {"check": self.mark, "states": self.states, "checked": self.checked, "breach": self.breach}


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainHead:
    """The end of one writer's chain. Noted down elsewhere, it shows later whether anything before it was changed."""

    writer_id: int
    seq: int
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditReport:
    """Every check, what deserves a look without being wrong, and the chains' heads."""

    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    heads: tuple[ChainHead, ...]

    @property
    def breach(self) -> str | None:
        """The first breach, or None when the books are right."""
        return next((f"{check.mark} {check.breach}" for check in self.checks if check.breach), None)

    def raise_for_breach(self) -> None:
        """Raise LedgerBreach unless the books are right."""
        if self.breach:
            raise LedgerBreach(f"ledger: {self.breach}")

    def as_json(self) -> dict[str, object]:
        """Return the report as `ledger audit --json` prints it."""
        heads = [{"writer": head.writer_id, "seq": head.seq, "hash": head.hash} for head in self.heads]
        checks = [check.as_json() for check in self.checks]
        return {"ok": self.breach is None, "breach": self.breach, "checks": checks, "notes": self.notes, "heads": heads}


def audit(connection: Connection) -> AuditReport:
    """Return the report. Reads every row."""
    chains, heads = _chains(connection)
    checks = [_refusals(connection), *_from_sql(connection), _balances(connection), *_rollups(connection), chains]
    return AuditReport(checks=tuple(checks), notes=tuple(_notes(connection)), heads=heads)


def _refusals(connection: Connection) -> Check:
    names = _trigger_tables(connection)
    missing = next((table for table in TRIGGERS if table not in names), None)
    breach = f"{missing}: the triggers that refuse changes are gone" if missing else None
    return Check(mark="L2", states="entries and attempts refuse to be changed", checked=len(names), breach=breach)


def _trigger_tables(connection: Connection) -> list[str]:
    catalog = {
        "sqlite": "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'",
    }
    return list(connection.execute(text(catalog[connection.dialect.name])).scalars())


def _from_sql(connection: Connection) -> Iterator[Check]:
    """Run the checks of `sql/audit.sql`: each finds the rows that break its rule, one is enough."""
    for mark, states, counted, query in audit_queries():
        found = connection.execute(text(query)).mappings().first()
        checked = connection.execute(text(f"SELECT count(*) FROM {counted}")).scalar_one()  # noqa: S608  # our own table
        yield Check(mark=mark, states=states, checked=checked, breach=None if found is None else _describe(found))


def audit_queries() -> list[tuple[str, str, str, str]]:
    """Return mark, statement, table that is counted, and query of each block of `sql/audit.sql`."""
    script = (files("imagequeue.ledger") / "sql" / "audit.sql").read_text("utf-8")
    blocks = script.split("-- check ")[1:]
    queries = []
    for block in blocks:
        header, _, query = block.partition("\n")
        mark, counted, states = (part.strip() for part in header.split("|"))
        queries.append((mark, states, counted, query))
    return queries


def _describe(row: RowMapping) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())


def _balances(connection: Connection) -> Check:
    kept = dict(connection.execute(select(balance.c.scope, balance.c.used_nano)).all())
    breach = _first_difference(kept, balances(connection))
    return Check(mark="L5", states="what caps count is settled + held + in doubt", checked=len(kept), breach=breach)


def _rollups(connection: Connection) -> Iterator[Check]:
    kept = _kept_rollups(connection)
    breach = _first_difference(kept, rollups(connection))
    yield Check(mark="L7", states="reports by day are the sums of the rows", checked=len(kept), breach=breach)
    by_tags = _kept_tag_rollups(connection)
    breach = _first_difference(by_tags, tag_rollups(connection))
    yield Check(mark="L7", states="reports by tags are the sums of the rows", checked=len(by_tags), breach=breach)


def _kept_tag_rollups(connection: Connection) -> dict[RollupCell, int]:
    return {
        (*(row[name] for name in (*DIMENSIONS, "tags_key")), measure): row[measure]
        for row in connection.execute(select(tag_rollup)).mappings()
        for measure in MEASURES
        if row[measure]
    }


def _kept_rollups(connection: Connection) -> dict[RollupCell, int]:
    kept: dict[RollupCell, int] = defaultdict(int)
    for row in connection.execute(select(rollup)).mappings():
        day, org, *others = (row[name] for name in DIMENSIONS)
        for measure in MEASURES:
            whose = ("", "", "") if measure == "corrected_nano" else others
            kept[day, org, *whose, measure] += row[measure]
    return kept


def _first_difference(kept: Mapping[Key, int], rebuilt: Mapping[Key, int]) -> str | None:
    for key in {**kept, **rebuilt}:
        if kept.get(key, 0) != rebuilt.get(key, 0):
            return f"{key}: kept {kept.get(key, 0)}, the rows say {rebuilt.get(key, 0)}"
    return None


def _chains(connection: Connection) -> tuple[Check, tuple[ChainHead, ...]]:
    """Walk every writer's chain from its first entry to the head that its last transaction noted."""
    heads, breach, checked = [], None, 0
    for writer_id, seq, hash_hex in connection.execute(
        select(writer.c.id, writer.c.head_seq, writer.c.head_hash).order_by(writer.c.id)
    ):
        walked, end, broken = _walk(connection, writer_id)
        if broken is None and (walked, end) != (seq, hash_hex):
            broken = f"writer {writer_id}: its chain ends at {walked}, its head says {seq}"
        heads.append(ChainHead(writer_id=writer_id, seq=seq, hash=hash_hex))
        checked, breach = checked + walked, breach or broken
    check = Check(mark="L11", states="no entry was changed, taken out or put in", checked=checked, breach=breach)
    return check, tuple(heads)


def _walk(connection: Connection, writer_id: int) -> tuple[int, str, str | None]:
    """Return the number of the last entry whose hash is right, that hash, and what is wrong after it."""
    seq, previous = 0, HASH_OF_NOTHING
    query = select(entry).where(entry.c.writer_id == writer_id).order_by(entry.c.seq)
    with connection.execute(query, execution_options={"yield_per": ENTRIES_PER_READ}) as rows:
        for row in rows.mappings():
            hash_hex = link_hash(previous, writer_id, seq + 1, row["at_us"], _entry_of(row))
            if (row["seq"], row["hash"]) != (seq + 1, hash_hex):
                return seq, previous, f"writer {writer_id}, entry {seq + 1}: changed, taken out or put in"
            seq, previous = seq + 1, hash_hex
    return seq, previous, None


def _entry_of(row: RowMapping) -> Entry:
    return Entry(**{name: row[name] for name in Entry._fields})


def _notes(connection: Connection) -> Iterator[str]:
    """Yield what is no breach and yet deserves a look."""
    for state, count, oldest_us in connection.execute(
        select(attempt.c.state, func.count(), func.min(attempt.c.held_at_us))
        .where(attempt.c.state.in_(("held", "in_doubt")))
        .group_by(attempt.c.state)
    ):
        yield f"{count} attempts are {state}, the oldest since {iso(moment(oldest_us))} (L6)"
    over = attempt.c.usd_nano > attempt.c.upper_bound_nano
    if count := connection.execute(select(func.count()).where(over)).scalar_one():
        yield f"{count} attempts cost more than was held for them"
    shared = select(attempt.c.request_id).where(attempt.c.request_id.is_not(None))
    shared = shared.group_by(attempt.c.org, attempt.c.request_id).having(func.count() > 1).limit(1)
    if (request_id := connection.execute(shared).scalar()) is not None:
        yield f"several attempts have the request id {request_id} (L3)"
