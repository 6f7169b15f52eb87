"""All attempts or entries, one after the other, as flat rows for spreadsheets and other programs.

The columns and their order are part of the product (docs/ledger.md lists them): a new one comes at the end.
"""

from collections.abc import Generator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, Select, Table, and_, select, true

from imagequeue.config.clock import iso
from imagequeue.config.money import format_usd
from imagequeue.ledger.moments import microseconds, moment
from imagequeue.ledger.schema import attempt, entry

ROWS_PER_READ: Final = 5_000
NANO: Final = "_nano"
MOMENT: Final = "_at_us"

ATTEMPT_COLUMNS: Final = (
    "id",
    "job_id",
    "n",
    "lease_token",
    "org",
    "model",
    "tenant",
    "priority",
    "tags",
    "intent",
    "delivery",
    "operation",
    "size",
    "quality",
    "images_requested",
    "upper_bound_nano",
    "credits",
    "catalog_version",
    "state",
    "usd_nano",
    "images",
    "usage",
    "request_id",
    "client_request_id",
    "status_code",
    "error_code",
    "error_message",
    "reason",
    "day",
    "held_at_us",
    "sent_at_us",
    "ended_at_us",
    "resolved_at_us",
)
ENTRY_COLUMNS: Final = (
    "writer_id",
    "seq",
    "attempt_id",
    "kind",
    "debit",
    "credit",
    "amount_nano",
    "day",
    "at_us",
    "catalog_version",
    "memo",
    "hash",
)

FlatRow = Mapping[str, object]


def export_attempts(
    connection: Connection, since: datetime | None = None, until: datetime | None = None
) -> Generator[FlatRow, None, None]:
    """Yield every attempt held from `since` on and before `until`, in order: dollars as text, moments as ISO 8601."""
    return _rows(connection, attempt, ATTEMPT_COLUMNS, "held_at_us", since, until)


def export_entries(
    connection: Connection, since: datetime | None = None, until: datetime | None = None
) -> Generator[FlatRow, None, None]:
    """Yield every entry made from `since` on and before `until`, by writer and place in its chain."""
    return _rows(connection, entry, ENTRY_COLUMNS, "at_us", since, until)


def readable_names(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of exported columns: `usd_nano` is exported as `usd`, `sent_at_us` as `sent_at`."""
    return tuple(_readable_name(name) for name in columns)


def typed(columns: tuple[str, ...], row: FlatRow) -> dict[str, object]:
    """Return an exported row with exact decimals and aware moments in place of their texts."""
    names = dict(zip(readable_names(columns), columns, strict=True))
    return {name: _typed(names[name], value) for name, value in row.items()}


def _rows(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    at: str,
    since: datetime | None,
    until: datetime | None,
) -> Generator[FlatRow, None, None]:
    after = true() if since is None else table.c[at] >= microseconds(since)
    before = true() if until is None else table.c[at] < microseconds(until)
    wanted: Select[tuple[object, ...]] = select(*(table.c[name] for name in columns))
    query = wanted.where(and_(after, before)).order_by(*table.primary_key)
    names = readable_names(columns)
    with connection.execute(query, execution_options={"yield_per": ROWS_PER_READ}) as rows:
        for row in rows:
            yield {name: _readable(column, value) for name, column, value in zip(names, columns, row, strict=True)}


def is_money(column: str) -> bool:
    """Return whether a column holds nano-dollars."""
    return column.endswith(NANO)


def is_moment(column: str) -> bool:
    """Return whether a column holds microseconds since 1970."""
    return column == "at_us" or column.endswith(MOMENT)


def _readable_name(column: str) -> str:
    if is_money(column):
        plain = column.removesuffix(NANO)
        return plain if plain.endswith("usd") else f"{plain}_usd"
    return column.removesuffix("_us") if is_moment(column) else column


def _readable(column: str, value: object) -> object:
    if isinstance(value, int) and is_money(column):
        return format_usd(value)
    if isinstance(value, int) and is_moment(column):
        return iso(moment(value))
    return value


def _typed(column: str, value: object) -> object:
    if isinstance(value, str) and is_money(column):
        return Decimal(value)
    if isinstance(value, str) and is_moment(column):
        return datetime.fromisoformat(value)
    return value
