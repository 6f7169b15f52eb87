"""A worker ends at each declared place of a job's life, as `kill -9` would end it; another takes over, to the cent."""

import asyncio
import random
import signal

import pytest
from soak_check import findings
from soak_site import Site, beside

from imagequeue.simulator.faults import Fault
from imagequeue.worker.crashpoint import POINTS, VARIABLE

JOBS = 6
AFTER_TROUBLE = ("ending.after", "requeue.before", "requeue.after")
LEASE = {"IMAGEQUEUE_LEASE_SECONDS": "1"}


@pytest.mark.kill
@pytest.mark.parametrize("point", POINTS)
def test_whatever_was_half_done_is_taken_up_again(quick_site: Site, point: str) -> None:
    """Fails as well when the place is never reached: then it would prove nothing."""
    site = beside(quick_site, point.replace(".", "-"), port=quick_site.port)
    quick_site.simulator.control.set_faults(*[Fault(kind="server_error", count=3)] * (point in AFTER_TROUBLE))
    site.enqueue(JOBS, random.Random(1))  # noqa: S311  # dice
    victim = site.nursery.start(burst=True, **LEASE, **{VARIABLE: point})
    assert victim.join() == -signal.SIGKILL, f"{point} was never reached"
    quick_site.simulator.control.set_faults()
    heir = site.nursery.start(burst=True, **LEASE)
    assert heir.join() == 0
    found = asyncio.run(findings(site))
    assert found.problems == ()
    assert (found.lost, found.settled_twice, found.succeeded) == (0, 0, JOBS)
    assert found.ledger_nano == found.bill_nano
