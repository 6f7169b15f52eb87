"""A door with settings of its own, and a browser's worth of requests to the page on it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from dashboard_door import FakeDoor
from dashboard_visitor import Visitor

from imagequeue.config.settings import Settings, load_settings

ORGS = (
    '[{"name": "main", "api_key": "sk-very-secret", "base_url": "http://127.0.0.1:9/v1", "tier": "5", '
    '"monthly_cap_usd": "1.20"}]'
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with secrets in them."""
    environ = {
        "IMAGEQUEUE_ORGS": ORGS,
        "IMAGEQUEUE_REDIS_URL": "redis://:redis-secret@127.0.0.1:6379/0",
        "IMAGEQUEUE_LEDGER_URL": "postgresql+psycopg://user:ledger-secret@db/ledger",
    }
    return load_settings(environ, tmp_path)


@pytest.fixture
def door(settings: Settings) -> FakeDoor:
    """Return an open door."""
    return FakeDoor(settings=settings)


@pytest.fixture
def visit() -> Callable[[FakeDoor], Visitor]:
    """Return what makes a visitor of a door."""
    return Visitor
