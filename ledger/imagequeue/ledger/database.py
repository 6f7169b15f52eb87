"""How to connect to the ledger's database: SQLite for one machine, PostgreSQL for several.

Writers and readers have engines of their own, so that a long report never waits for, or holds up, the money.
"""

import sqlite3
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from imagequeue.config.errors import ConfigError

CONNECT_SECONDS_MAX: Final = 10
BUSY_SECONDS_MAX: Final = 20  # how long SQLite waits for another process's transaction
STATEMENT_SECONDS_MAX: Final = 30  # of a writer; a report may take longer
REPORT_SECONDS_MAX: Final = 300
READERS_MAX: Final = 4
URL_WANTED: Final = "IMAGEQUEUE_LEDGER_URL: sqlite:///PATH (a file) or postgresql://USER:PASSWORD@HOST/DATABASE"


def parse_url(url: str) -> URL:
    """Return the URL with our driver; ConfigError says what is accepted otherwise."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            "IMAGEQUEUE_LEDGER_URL: sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error
    backend = {"postgres": "postgresql"}.get(parsed.get_backend_name(), parsed.get_backend_name())
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite+pysqlite")
    raise ConfigError(URL_WANTED)


def writer_engine(url: URL) -> Engine:
    """Return the engine of the one writing connection of this process."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, "PRAGMA synchronous = FULL", "BEGIN IMMEDIATE")
    return _postgresql(url, STATEMENT_SECONDS_MAX, read_only=False)


def reader_engine(url: URL) -> Engine:
    """Return the engine for reports; its connections refuse to write."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, "PRAGMA query_only = ON", "BEGIN")
    return _postgresql(url, REPORT_SECONDS_MAX, read_only=True)


def _sqlite(url: URL, pragma: str, begin: str) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=READERS_MAX,
        max_overflow=0,
        connect_args={"timeout": BUSY_SECONDS_MAX, "check_same_thread": False},
    )

    # sqlite3 would otherwise begin transactions by itself, too late and of the wrong kind.
    def connected(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA foreign_keys = ON", pragma):
            connection.execute(statement).close()

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin) and None)
    return engine


def _postgresql(url: URL, statement_seconds: int, *, read_only: bool) -> Engine:
    options: dict[str, Any] = {  # Any: psycopg's own keywords
        "connect_timeout": CONNECT_SECONDS_MAX,
        "application_name": "imagequeue-ledger",
        "keepalives_idle": 15,
        "options": (
            f"-c statement_timeout={statement_seconds * 1000}"
            f" -c idle_in_transaction_session_timeout={REPORT_SECONDS_MAX * 1000}"
            f" -c default_transaction_read_only={'on' if read_only else 'off'}"
            " -c timezone=UTC"
        ),
    }
    if read_only:
        return create_engine(
            url,
            pool_size=READERS_MAX,
            max_overflow=0,
            pool_pre_ping=True,
            isolation_level="REPEATABLE READ",  # a report's figures are of one moment
            connect_args=options,
        )
    return create_engine(url, poolclass=NullPool, connect_args=options)
