"""Core expressions as texts for the writer's connection, compiled once for each database."""

from collections.abc import Callable
from functools import cache

from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.sql import ClauseElement

from imagequeue.ledger.transaction import Transaction

Build = Callable[[str], ClauseElement]
"""Makes an expression for a database, given the name of its dialect."""


def text_for(transaction: Transaction, build: Build) -> str:
    """Return the text of the expression that `build`, a function of a module, makes."""
    return _compiled(build, transaction.dialect_name)


@cache
def _compiled(build: Build, dialect_name: str) -> str:
    dialect: Dialect = sqlite.dialect(paramstyle="named") if dialect_name == "sqlite" else psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own constructor
    return str(build(dialect_name).compile(dialect=dialect))


def upsert(table: Table, dialect_name: str) -> sqlite.Insert | postgresql.Insert:
    """Return an insert that can say what to do on a conflict."""
    return sqlite.insert(table) if dialect_name == "sqlite" else postgresql.insert(table)
