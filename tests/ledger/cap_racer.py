"""Holds as fast as it can until a cap refuses, in a process of its own; tells how many holds it got."""

import asyncio
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from imagequeue.ledger.api import Cap, CapKind, CapReached, Held, HoldRequest
from imagequeue.ledger.ledger import Ledger

AT_ONCE = 20
READY_SECONDS_MAX = 60.0


def request(job_id: str, cap_nano: int, bound_nano: int, kind: CapKind) -> HoldRequest:
    """Return a hold under one cap that all racers share."""
    return HoldRequest(
        job_id=job_id,
        lease_token="w-1",
        org="main",
        model="dall-e-3",
        tenant="default",
        priority="default",
        operation="generation",
        images=1,
        upper_bound_nano=bound_nano,
        catalog_version="test",
        first_delivery=True,
        caps=(Cap(kind=kind, limit_nano=cap_nano),),
    )


async def race(url: str, cap_nano: int, bound_nano: int, name: str, kind: CapKind, together: Barrier) -> int:
    """Return how many holds were given before every one of a round was refused."""
    ledger = await Ledger.open(url, commits_per_second=1_000)
    await asyncio.to_thread(together.wait, READY_SECONDS_MAX)
    got, refused = 0, 0
    while refused < AT_ONCE:
        wanted = (request(f"{name}-{got + at}", cap_nano, bound_nano, kind) for at in range(AT_ONCE))
        answers = await asyncio.gather(*(ledger.hold(one) for one in wanted))
        got += sum(isinstance(answer, Held) for answer in answers)
        refused = sum(isinstance(answer, CapReached) for answer in answers)
    await ledger.aclose()
    return got


def racer(
    url: str, cap_nano: int, bound_nano: int, name: str, kind: CapKind, together: Barrier, held: "Queue[int]"
) -> None:
    """Be one racer: begin with the others, and tell the number at the end."""
    held.put(asyncio.run(race(url, cap_nano, bound_nano, name, kind, together)))
