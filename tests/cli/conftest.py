"""A data dir that nothing runs on when the test has ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagequeue.config.embedded import stop_server
from imagequeue.producer.running import run_folder, stop


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Return a data dir; whatever is left running on it is ended."""
    path = tmp_path / "data"
    yield path
    stop(run_folder(path), drain_seconds=0)
    stop_server(path)
