"""One real server for the session's worker tests; each test uses a prefix of its own."""

from collections.abc import Iterator

import pytest

from imagequeue.config.embedded import ensure_server, stop_server


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a Valkey that only this test run uses."""
    folder = tmp_path_factory.mktemp("server")
    yield ensure_server(folder)
    stop_server(folder)
