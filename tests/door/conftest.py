"""One running installation for all tests of the door that share a process."""

from collections.abc import Iterator

import httpx
import pytest
from door_stack import Stack, running_stack

from imagequeue.config.embedded import stop_server


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a running installation with keys."""
    data_dir = tmp_path_factory.mktemp("door") / "data"
    try:
        with running_stack(data_dir) as running:
            yield running
    finally:
        stop_server(data_dir)


@pytest.fixture(autouse=True)
def _nothing_logged_as_a_fault(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test asks of the running doors, none of them may meet what it did not foresee."""
    if "stack" not in request.fixturenames:
        yield
        return
    stack: Stack = request.getfixturevalue("stack")
    stack.newly_logged()
    yield
    faults = [line for line in stack.newly_logged() if "unexpected fault" in line or "Traceback" in line]
    assert not faults, faults[0]


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """Yield a client of the open door."""
    with stack.client() as opened:
        yield opened


@pytest.fixture
def _no_faults(stack: Stack) -> Iterator[None]:
    """Clear the provider's faults after a test that sets some."""
    yield
    stack.simulator.control.set_faults()
