"""One real Valkey for the session, and a world of its own (unique prefixes or database) for each test."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
from queue_server import DATABASES_MAX, RunningServer, running_server
from queue_world import World

from imagequeue.config.keys import Keys

_databases = count(1)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Yield a server that nothing but this test run uses."""
    with running_server(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def world(valkey: RunningServer) -> Iterator[World]:
    """Yield a queue under prefixes that nobody else uses."""
    prefix = f"t{uuid4().hex}"
    with World(valkey.url(), Keys(rq=prefix, own=f"{prefix}:iq")) as made:
        yield made


@pytest.fixture
def rq_world(valkey: RunningServer) -> Iterator[World]:
    """Yield a queue under RQ's standard prefix, which RQ reads once a process: in a database of its own."""
    with World(valkey.url(next(_databases) % DATABASES_MAX), Keys()) as made:
        yield made


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[RunningServer]:
    """Yield a server of the test's own, for tests that change the server itself."""
    with running_server(tmp_path) as running:
        yield running
