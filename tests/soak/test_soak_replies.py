"""One connection between worker and server breaks, once, at each command in turn: the request or the reply is lost."""

import asyncio
import os
import random
from contextlib import ExitStack

import pytest
from soak_check import findings
from soak_processes import WorkerProcess
from soak_proxy import Direction, FaultProxy, fault_proxy
from soak_site import Site, beside

JOBS = 6
FULL = "SOAK_FULL"
AT_ONCE = 6
COMMANDS_MAX = 60 if FULL in os.environ else 12
STARTS_MAX = 3
LEASE = {"IMAGEQUEUE_LEASE_SECONDS": "1"}


def to_the_end(site: Site, worker: WorkerProcess) -> None:
    """Let the worker end its burst; started again when the break came before it was up, as a supervisor does."""
    for _ in range(STARTS_MAX):
        if worker.join() == 0:
            return
        worker = site.nursery.start(burst=True, **LEASE)
    raise AssertionError(f"no worker ended well: {worker.log.read_text()[-2000:]}")


@pytest.mark.kill
@pytest.mark.timeout(300)
@pytest.mark.parametrize("direction", ["request lost", "reply lost"])
@pytest.mark.parametrize("first", range(1, COMMANDS_MAX, AT_ONCE))
def test_no_job_is_lost_or_settled_twice(
    quick_site: Site, first: int, direction: Direction, request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["quick_site"] == "redis" and FULL not in os.environ:
        pytest.skip("`make soak` breaks connections to Redis 7 as well")
    runs: list[tuple[int, Site, FaultProxy, WorkerProcess]] = []
    with ExitStack() as stack:
        for at in range(first, first + AT_ONCE):
            proxy = stack.enter_context(fault_proxy(quick_site.port, at=at, direction=direction))
            site = beside(quick_site, f"{direction.split()[0]}-{at}", port=proxy.port)
            site.enqueue(JOBS, random.Random(at))  # noqa: S311  # dice
            runs.append((at, site, proxy, site.nursery.start(burst=True, **LEASE)))
        for _, site, _, worker in runs:
            to_the_end(site, worker)
    for at, site, proxy, _ in runs:
        assert proxy.hit, f"the run has fewer than {at} commands"
        found = asyncio.run(findings(site))
        assert found.problems == ()
        assert (found.lost, found.settled_twice, found.succeeded) == (0, 0, JOBS)
        assert found.ledger_nano == found.bill_nano
