"""All attempts or entries, one after the other, as flat rows for spreadsheets and other programs."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Select, Table, and_, select, true

from imagequeue.config.clock import iso
from imagequeue.config.money import format_usd
from imagequeue.ledger.moments import microseconds, moment
from imagequeue.ledger.schema import attempt, entry

ROWS_PER_READ: Final = 5_000
NANO: Final = "_nano"
MOMENT: Final = "_at_us"

FlatRow = Mapping[str, object]


def export_attempts(
    connection: Connection, since: datetime | None = None, until: datetime | None = None
) -> Iterator[FlatRow]:
    """Yield every attempt held from `since` on and before `until`, in order: dollars as text, moments as ISO 8601."""
    return _rows(connection, attempt, "held_at_us", since, until)


def export_entries(
    connection: Connection, since: datetime | None = None, until: datetime | None = None
) -> Iterator[FlatRow]:
    """Yield every entry made from `since` on and before `until`, by writer and place in its chain."""
    return _rows(connection, entry, "at_us", since, until)


def _rows(
    connection: Connection, table: Table, at: str, since: datetime | None, until: datetime | None
) -> Iterator[FlatRow]:
    after = true() if since is None else table.c[at] >= microseconds(since)
    before = true() if until is None else table.c[at] < microseconds(until)
    query: Select[tuple[object, ...]] = select(table).where(and_(after, before)).order_by(*table.primary_key)
    with connection.execute(query, execution_options={"yield_per": ROWS_PER_READ}) as rows:
        for row in rows.mappings():
            yield dict(_readable(name, value) for name, value in row.items())


def _readable(name: str, value: object) -> tuple[str, object]:
    """Return a column as people read it: `usd_nano` becomes `usd`, `sent_at_us` becomes `sent_at`."""
    if name.endswith(NANO):
        plain = name.removesuffix(NANO)
        return plain if plain.endswith("usd") else f"{plain}_usd", format_usd(value) if isinstance(value, int) else None
    if name == "at_us" or name.endswith(MOMENT):
        return name.removesuffix("_us"), iso(moment(value)) if isinstance(value, int) else None
    return name, value
