"""A data dir whose embedded server is stopped after the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagequeue.config.embedded import stop_server


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Return an empty data dir; its server, if one was started, ends with the test."""
    yield tmp_path / "data dir"
    stop_server(tmp_path / "data dir")
