"""Faults of the ledger's database."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from faults_scene import Scene
from sqlalchemy.engine import make_url

FILLER = "filler"
CHUNK_BYTES = 65_536


def sqlite_path(stage: Scene) -> Path:
    """Return the ledger's file."""
    return Path(str(make_url(stage.site.settings.ledger_url.get_secret_value()).database))


@contextmanager
def crashed(stage: Scene) -> Iterator[None]:
    """PostgreSQL ended without a checkpoint, and started again."""
    assert stage.site.postgres is not None
    stage.site.postgres.crash()
    yield
    stage.site.postgres.start()


@contextmanager
def locked(stage: Scene) -> Iterator[None]:
    """Another process holds the SQLite file for itself."""
    with sqlite3.connect(sqlite_path(stage), timeout=30, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def out_of_connections(stage: Scene) -> Iterator[None]:
    """PostgreSQL ends every connection of ours and lets nobody in: too many already."""
    assert stage.site.postgres is not None
    with psycopg.connect(stage.site.postgres.url, autocommit=True) as admin:
        admin.execute("ALTER ROLE ledger CONNECTION LIMIT 0")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ledger'")
        yield
        admin.execute("ALTER ROLE ledger CONNECTION LIMIT -1")


@contextmanager
def disk_full(folder: Path) -> Iterator[None]:
    """Fill the file system of a folder to the last byte; of a tmpfs, or it would be everybody's."""
    filler = folder / FILLER
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * CHUNK_BYTES)
        except OSError:
            pass
    yield
    filler.unlink()


@contextmanager
def cut_off(stage: Scene) -> Iterator[None]:
    """PostgreSQL ends every connection of ours, once."""
    assert stage.site.postgres is not None
    with psycopg.connect(stage.site.postgres.url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'imagequeue-ledger'"
        )
        yield
