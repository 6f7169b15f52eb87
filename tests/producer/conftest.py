"""An installation of its own for each test, on one real Valkey for the session; and the command line on it."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from imagequeue.config.embedded import ensure_server, stop_server
from imagequeue.config.settings import Settings, load_settings
from imagequeue.producer.main import run
from imagequeue.producer.registry import installed_parts

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
def environ(server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set and return the environment of an installation of its own; the current folder is empty."""
    mine = {
        "IMAGEQUEUE_DATA_DIR": str(tmp_path / "data"),
        "IMAGEQUEUE_REDIS_URL": server_url,
        "IMAGEQUEUE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.sqlite3",
        "IMAGEQUEUE_ORGS": json.dumps([ORG]),
        "RQ_KEY_PREFIX": f"t{uuid4().hex}",
    }
    for name in [name for name in os.environ if name.startswith("IMAGEQUEUE_")]:
        monkeypatch.delenv(name)
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return mine


@pytest.fixture
def settings(environ: dict[str, str], tmp_path: Path) -> Settings:
    """Return the settings of that environment."""
    return load_settings(environ, tmp_path)


@pytest.fixture
def imagequeue(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return what runs one command and gives its exit code and what it printed."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments, environ, installed_parts())
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command
