"""One real Valkey for the session; settings with a key prefix and a ledger of their own for each test."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from imagequeue.config.embedded import ensure_server, stop_server
from imagequeue.config.settings import Settings, load_settings

SERVED_SECONDS = 3600.0
"""So long it stays without a client: in some order of tests nobody asks it for minutes."""

ORG = {"name": "main", "api_key": "sk-test", "base_url": "http://127.0.0.1:9/v1", "tier": "5"}


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a server that nothing but this test run uses."""
    folder = tmp_path_factory.mktemp("server")
    yield ensure_server(folder, idle_seconds=SERVED_SECONDS)
    stop_server(folder)


@pytest.fixture
def environ(server_url: str, tmp_path: Path) -> dict[str, str]:
    """Return the environment of an installation of its own."""
    return {
        "IMAGEQUEUE_DATA_DIR": str(tmp_path / "data"),
        "IMAGEQUEUE_REDIS_URL": server_url,
        "IMAGEQUEUE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.sqlite3",
        "IMAGEQUEUE_ORGS": json.dumps([ORG]),
        "RQ_KEY_PREFIX": f"t{uuid4().hex}",
    }


@pytest.fixture
def settings(environ: dict[str, str], tmp_path: Path) -> Settings:
    """Return the settings of that environment."""
    return load_settings(environ, tmp_path)
