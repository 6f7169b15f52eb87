"""A worker that starts or ends while the Redis server is away."""

import pytest
from faults_scene import scene
from soak_processes import WorkerProcess, wait_until

SAYS_SECONDS_MAX = 30.0
JOBS = 25


def says(worker: WorkerProcess, words: str) -> bool:
    """Whether it has logged these words."""
    return worker.log.exists() and words in worker.log.read_text(errors="replace")


@pytest.mark.kill
def test_a_worker_waits_for_a_server_that_restarts_and_one_told_to_end_does_not() -> None:
    with scene(workers=1) as stage:
        stage.enqueue(JOBS)
        stage.until_rest()
        stage.site.server.kill()
        late = stage.site.nursery.start()
        wait_until("it waits", SAYS_SECONDS_MAX, lambda: says(late, "waiting for the server"))
        assert stage.workers[0].end() == 0
        assert says(stage.workers[0], "worker stopped without the server")
        stage.site.server.start()
        stage.enqueue(JOBS)
        stage.until_rest()
        assert late.end() == 0


@pytest.mark.kill
def test_a_worker_that_waits_for_the_server_can_be_told_to_end() -> None:
    with scene(workers=0) as stage:
        stage.site.server.kill()
        late = stage.site.nursery.start()
        wait_until("it waits", SAYS_SECONDS_MAX, lambda: says(late, "waiting for the server"))
        assert late.end() == 0
        stage.site.server.start()
