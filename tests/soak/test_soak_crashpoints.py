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
WITHOUT_A_CALL = ("answer.before", "answer.after")  # a stored answer, which these jobs do not ask for
ON_THE_WAY = tuple(point for point in POINTS if point not in (*AFTER_TROUBLE, *WITHOUT_A_CALL))
LEASE = {"IMAGEQUEUE_LEASE_SECONDS": "1"}


@pytest.mark.kill
@pytest.mark.parametrize("points", [ON_THE_WAY, AFTER_TROUBLE], ids=["on the way", "after trouble"])
def test_whatever_was_half_done_is_taken_up_again(quick_site: Site, points: tuple[str, ...]) -> None:
    """One worker for each place, each on a site of its own; a place that is never reached would prove nothing."""
    trouble = [Fault(kind="server_error")] if points == AFTER_TROUBLE else []
    quick_site.simulator.control.set_faults(*trouble)
    sites = {point: beside(quick_site, point.replace(".", "-"), port=quick_site.port) for point in points}
    for site in sites.values():
        site.enqueue(JOBS, random.Random(1))  # noqa: S311  # dice
    victims = {point: site.nursery.start(burst=True, **LEASE, **{VARIABLE: point}) for point, site in sites.items()}
    for point, victim in victims.items():
        assert victim.join() == -signal.SIGKILL, f"{point} was never reached"
    quick_site.simulator.control.set_faults()
    heirs = {point: site.nursery.start(burst=True, **LEASE) for point, site in sites.items()}
    for point, site in sites.items():
        assert heirs[point].join() == 0, point
        found = asyncio.run(findings(site))
        assert found.problems == (), point
        assert (found.lost, found.settled_twice, found.succeeded) == (0, 0, JOBS)
        assert found.ledger_nano == found.bill_nano
