"""A simulator shared by the tests of one file, and one of their own for those that change its state."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.process import RunningSimulator, running_simulator

UNLIMITED = GroupLimits()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, so that each file's simulator is started once."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def free_org(name: str = "main") -> SimulatedOrg:
    """Return an organization without ceilings."""
    return SimulatedOrg(name=name, limits=dict.fromkeys(("dall-e-3", "dall-e-2", "gpt-image"), UNLIMITED))


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    """Yield a fast simulator without ceilings; tests that use it only add to its bill."""
    with running_simulator(SimulatorConfig(orgs=(free_org(),), seed=1, image_bytes=0)) as running:
        yield running


@pytest.fixture(scope="module")
def _own_running() -> Iterator[RunningSimulator]:
    with running_simulator(SimulatorConfig(orgs=(free_org(),), seed=1, image_bytes=0)) as running:
        yield running


@pytest.fixture
def own_simulator(_own_running: RunningSimulator) -> RunningSimulator:
    """Return a simulator just reset, for a test that sets faults or counts rows."""
    _own_running.control.reset()
    return _own_running
