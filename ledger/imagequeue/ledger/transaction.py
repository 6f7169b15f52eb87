"""Statements inside one transaction of the writer's connection, given to the driver directly."""

import json
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Final, LiteralString, Protocol, cast

import psycopg
from psycopg.rows import dict_row

from imagequeue.ledger.columns import columns, takes_columns
from imagequeue.ledger.statements import Statements

Parameters = Mapping[str, object]
Step = tuple[str, Sequence[Parameters]]
"""A statement, and the parameters of each of its runs."""
Query = tuple[str, Parameters]
"""A statement that returns rows, and its parameters."""

NAMED: Final = re.compile(r":(\w+)")  # in SQLite's texts, which hold no other colon
PLANNING: Final = """
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off
"""
"""For the writer on PostgreSQL, which finds every row by a key: plan a statement once, and by its index.

A plan that was made while the tables were empty reads them from end to end, and is kept while they grow.
"""
UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL knows no NUL, UTF-8 no lone surrogates


class Transaction(Protocol):
    """One open transaction on either database. Rows are read by column name; the caller casts them to its table."""

    statements: Statements
    dialect_name: str

    def begin(self) -> None:
        """Begin, at the latest with the first statement."""
        ...

    def rows(self, text: str, parameters: Parameters) -> list[object]:
        """Return the rows."""
        ...

    def rows_of_each(self, queries: Sequence[Query | None]) -> list[list[object]]:
        """Return the rows of each query, asked in this order; none for None."""
        ...

    def run(self, text: str, parameters: Parameters) -> int:
        """Return how many rows were changed."""
        ...

    def run_all(self, steps: Sequence[Step]) -> list[int]:
        """Run every step for each of its rows, in order; return how many rows each step changed in all."""
        ...

    def listed(self, values: Sequence[object]) -> object:
        """Return a list parameter as the database wants it."""
        ...


class SqliteTransaction:
    """A `Transaction` on SQLite, where a statement is a function call."""

    dialect_name = "sqlite"

    def __init__(self, connection: sqlite3.Connection, statements: Statements) -> None:
        self.statements = statements
        self._cursor = connection.cursor()

    def begin(self) -> None:
        """See `Transaction`."""
        self._cursor.execute(self.statements.begin)

    def rows(self, text: str, parameters: Parameters) -> list[object]:
        """See `Transaction`."""
        found = self._cursor.execute(text, parameters)
        names = [column[0] for column in found.description]
        # Each row is read by name some thirty times, which a dict does at a tenth of the cost of sqlite3.Row.
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def rows_of_each(self, queries: Sequence[Query | None]) -> list[list[object]]:
        """See `Transaction`."""
        return [[] if query is None else self.rows(*query) for query in queries]

    def run(self, text: str, parameters: Parameters) -> int:
        """See `Transaction`."""
        return self._cursor.execute(text, parameters).rowcount

    def run_all(self, steps: Sequence[Step]) -> list[int]:
        """See `Transaction`."""
        return [self._run_each(text, rows) if rows else 0 for text, rows in steps]

    def _run_each(self, text: str, rows: Sequence[Parameters]) -> int:
        by_position, values_of = _by_position(text)
        return self._cursor.executemany(by_position, map(values_of, rows)).rowcount

    def listed(self, values: Sequence[object]) -> object:
        """See `Transaction`."""
        return json.dumps(values)


class PostgresqlTransaction:
    """A `Transaction` on PostgreSQL, where many steps are one trip to the server, and its beginning none of its own.

    Between two trips other threads take the interpreter, which costs more than the trip does. Statements are prepared
    when they are first run: psycopg forgets one that was prepared in a trip that failed only if it had not run before.
    """

    dialect_name = "postgresql"

    def __init__(self, connection: psycopg.Connection[object], statements: Statements) -> None:
        self.statements = statements
        self._connection = connection
        self._connection.autocommit = True  # begins no transaction by itself
        self._connection.execute(PLANNING)
        self._cursor = connection.cursor(row_factory=dict_row)
        self._to_begin = False

    def begin(self) -> None:
        """See `Transaction`."""
        self._to_begin = True

    def rows(self, text: str, parameters: Parameters) -> list[object]:
        """See `Transaction`."""
        return self.rows_of_each([(text, parameters)])[0]

    def rows_of_each(self, queries: Sequence[Query | None]) -> list[list[object]]:
        """See `Transaction`."""
        cursors = [self._connection.cursor(row_factory=dict_row) for _ in queries]
        with self._connection.pipeline():
            self._begin_now()
            for cursor, query in zip(cursors, queries, strict=True):
                if query is not None:
                    cursor.execute(_known(query[0]), query[1], prepare=True)
        return [
            [] if query is None else list(cursor.fetchall()) for cursor, query in zip(cursors, queries, strict=True)
        ]

    def run(self, text: str, parameters: Parameters) -> int:
        """See `Transaction`."""
        self._begin_now()
        return self._cursor.execute(_known(text), parameters).rowcount

    def run_all(self, steps: Sequence[Step]) -> list[int]:
        """See `Transaction`."""
        cursors = [self._connection.cursor() for _ in steps]
        with self._connection.pipeline():
            self._begin_now()
            for cursor, (text, rows) in zip(cursors, steps, strict=True):
                if rows and takes_columns(text):
                    cursor.execute(_known(text), columns(text, rows), prepare=True)
                elif rows:
                    cursor.executemany(_known(text), rows)
        return [cursor.rowcount if rows else 0 for cursor, (_, rows) in zip(cursors, steps, strict=True)]

    def _begin_now(self) -> None:
        if self._to_begin:
            self._to_begin = False
            self._cursor.execute(_known(self.statements.begin))

    def listed(self, values: Sequence[object]) -> object:
        """See `Transaction`."""
        return list(values)


def transaction_on(connection: object, statements: Statements) -> Transaction:
    """Return transactions on a driver's own connection."""
    if isinstance(connection, sqlite3.Connection):
        return SqliteTransaction(connection, statements)
    return PostgresqlTransaction(cast("psycopg.Connection[object]", connection), statements)


@cache
def _by_position(text: str) -> tuple[str, Callable[[Parameters], tuple[object, ...]]]:
    """Return a statement with its parameters by position, and what puts a row in that order.

    SQLite binds parameters by name at twice the cost, and there are ninety in every job.
    """
    names = NAMED.findall(text)
    values_of = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
    return NAMED.sub("?", text), values_of


def _known(text: str) -> LiteralString:
    return text  # compiled from expressions: nothing foreign is in it


def storable(text: str | None, characters_max: int) -> str | None:
    """Return foreign text as both databases accept it, cut to `characters_max`."""
    if text is None:
        return None
    if text.isascii() and "\x00" not in text:  # as most are
        return text[:characters_max]
    return UNSTORABLE.sub("\ufffd", text[:characters_max])
