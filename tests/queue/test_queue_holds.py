"""A tenant that is held back and released: all its jobs, on whatever queue, by whatever worker."""

import pytest
from queue_world import World

from imagequeue.queue.tenants import TenantHold, hold, recheck, release

OVER_CAP = TenantHold(tenant="over", reason="budget", detail="over its cap", until=1.0, recheck_at=1.0)


@pytest.mark.parametrize("ends", [release, recheck])
def test_a_release_reaches_every_queue(world: World, ends: object) -> None:
    """Whoever releases may serve one queue alone, and another may be suspended at that moment."""
    jobs = {world.put(tenant="over", priority=priority) for priority in ("high", "default")}
    world.do(hold(world.scripts, OVER_CAP))
    assert not world.worker().claim(2)
    world.do(ends(world.scripts, "over"))  # type: ignore[operator]  # one of the two
    world.check()
    assert {claim.id for claim in world.worker().claim(2)} == jobs


def test_a_hold_reaches_every_queue(world: World) -> None:
    """Otherwise each of its jobs there would be claimed, held in the ledger and given back, again and again."""
    for priority in ("high", "default"):
        world.put(tenant="over", priority=priority)
    world.do(hold(world.scripts, OVER_CAP))
    world.check()
    assert not world.worker().claim(2)
