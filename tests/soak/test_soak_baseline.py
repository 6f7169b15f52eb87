"""The killing has teeth: RQ's own workers, killed the same way, lose jobs that were acknowledged."""

from pathlib import Path

import pytest
from soak_processes import running_server
from soak_stock import stock_soak

KILLS = 60
SEEDS = (1, 2, 3, 4)


@pytest.mark.kill
def test_stock_workers_on_three_queues_lose_jobs_when_killed(tmp_path: Path) -> None:
    """At most four times sixty kills; most often the first sixty are enough."""
    lost = 0
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        with running_server(folder) as server:
            report = stock_soak(server.port, kills=KILLS, seed=seed)
        print(report)  # noqa: T201  # shown when the test fails, or with -s
        lost += report.lost
        if lost:
            return
    raise AssertionError("RQ's own workers lost nothing: this killing proves nothing")
