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
