"""Brings a ledger's tables up to date, once, however many processes start at the same time."""

from typing import Final

from sqlalchemy import Connection, inspect, text

from imagequeue.config.errors import LedgerUnavailable
from imagequeue.ledger.schema import REVISION

ADVISORY_LOCK: Final = 7_233_158_201  # any number that no other application takes on this PostgreSQL database


def migrate(connection: Connection) -> None:
    """Migrate inside the connection's open transaction, which the caller commits.

    On SQLite that transaction is IMMEDIATE and thereby the lock; on PostgreSQL an advisory lock is taken until
    its end. LedgerUnavailable when the tables are newer than this program.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    present = current_revision(connection)
    if present == REVISION:
        return
    if present is not None and present > REVISION:
        raise LedgerUnavailable(f"ledger: its tables are of revision {present}, this program knows {REVISION}: update")
    _upgrade(connection)


def current_revision(connection: Connection) -> str | None:
    """Return the revision of the tables, or None when there are none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # takes 0.2 s: only paid when there is something to do
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "imagequeue.ledger:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
