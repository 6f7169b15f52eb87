"""Statements inside one transaction of the writer's connection, given to the driver directly."""

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, cast

from psycopg import Connection as PostgresqlConnection
from psycopg.rows import dict_row

from imagequeue.ledger.statements import Statements

Parameters = Mapping[str, object]
UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL knows no NUL, UTF-8 no lone surrogates


class Cursor(Protocol):
    """What the cursors of sqlite3 and psycopg have in common."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed, over all its parameters."""
        ...

    def execute(self, text: str, parameters: Parameters, /) -> object:
        """Run once."""
        ...

    def executemany(self, text: str, rows: Sequence[Parameters], /) -> object:
        """Run for each row."""
        ...

    def fetchall(self) -> list[object]:
        """Return the rows that were found."""
        ...


class Transaction:
    """One open transaction: what to run in it, and how lists are handed over."""

    def __init__(self, cursor: Cursor, statements: Statements, *, lists_as_json: bool) -> None:
        self._cursor = cursor
        self._lists_as_json = lists_as_json
        self.statements = statements

    def rows(self, text: str, parameters: Parameters) -> list[object]:
        """Return the rows; each is read by column name, and cast to the columns of its table by the caller."""
        self._cursor.execute(text, parameters)
        return self._cursor.fetchall()

    def run(self, text: str, parameters: Parameters) -> int:
        """Return how many rows were changed."""
        self._cursor.execute(text, parameters)
        return self._cursor.rowcount

    def run_many(self, text: str, rows: Sequence[Parameters]) -> int:
        """Return how many rows were changed in all; nothing is sent for no rows."""
        if not rows:
            return 0
        self._cursor.executemany(text, rows)
        return self._cursor.rowcount

    def listed(self, values: Sequence[object]) -> object:
        """Return a list parameter as the database wants it."""
        return json.dumps(values) if self._lists_as_json else values


def open_cursor(connection: object) -> Cursor:
    """Return a cursor whose rows are read by column name, on a connection that begins no transaction by itself."""
    if isinstance(connection, sqlite3.Connection):
        cursor = connection.cursor()
        cursor.row_factory = sqlite3.Row
        return cursor
    connection = cast("PostgresqlConnection[object]", connection)
    connection.autocommit = True
    return cast("Cursor", connection.cursor(row_factory=dict_row))


def storable(text: str | None, characters_max: int) -> str | None:
    """Return foreign text as both databases accept it, cut to `characters_max`."""
    return None if text is None else UNSTORABLE.sub("\ufffd", text[:characters_max])
