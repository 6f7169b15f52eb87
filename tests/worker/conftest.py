"""One real server and one simulated provider for the session's worker tests; each test uses a prefix of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from worker_site import WorkerSite, worker_site

from imagequeue.config.embedded import ensure_server, stop_server
from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import RunningSimulator, running_simulator

SERVED_SECONDS = 3600.0
"""So long it stays without a client: in some order of tests nobody asks it for minutes."""

UNLIMITED = dict.fromkeys(("dall-e-2", "dall-e-3", "gpt-image"), GroupLimits())


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a Valkey that only this test run uses."""
    folder = tmp_path_factory.mktemp("server")
    yield ensure_server(folder, idle_seconds=SERVED_SECONDS)
    stop_server(folder)


@pytest.fixture(scope="session")
def _simulator() -> Iterator[RunningSimulator]:
    orgs = tuple(SimulatedOrg(name=name, limits=UNLIMITED) for name in ("main", "second"))
    config = SimulatorConfig(orgs=orgs, latency=Latency(seconds=0.02), render="fast", image_bytes=0, seed=1)
    with running_simulator(config) as running:
        yield running


@pytest.fixture
def simulator(_simulator: RunningSimulator) -> RunningSimulator:
    """Return a provider of two organizations without limits, as it was at its start."""
    _simulator.control.reset()
    _simulator.control.set_faults()
    return _simulator


@pytest.fixture
def site(server_url: str, simulator: RunningSimulator, tmp_path: Path) -> WorkerSite:
    """Return a site with one organization."""
    return worker_site(server_url, simulator, tmp_path)
