"""One real server and one simulated provider for all tests here; each test has a prefix of its own."""

from collections.abc import Iterator

import pytest
from observed_site import quick_provider

from imagequeue.config.embedded import ensure_server, stop_server
from imagequeue.simulator.process import RunningSimulator, running_simulator

SERVED_SECONDS = 3600.0
"""So long it stays without a client: in some order of tests nobody asks it for minutes."""


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a Valkey that only this test run uses."""
    folder = tmp_path_factory.mktemp("server")
    yield ensure_server(folder, idle_seconds=SERVED_SECONDS)
    stop_server(folder)


@pytest.fixture(scope="session")
def simulator() -> Iterator[RunningSimulator]:
    """Yield a provider that answers at once."""
    with running_simulator(quick_provider()) as running:
        yield running
