"""Where RQ keeps jobs, one shelf for each place and queue, and how one is read in pieces, newest first.

    running    wip registry        by id (all have one score)
    queued     the queue's list    from its tail
    scheduled  scheduled registry  latest due first
    deferred   deferred registry   last parked first
    failed, finished, canceled     last ended first; entries past their time are left out

A position is where the next piece begins. It stays right while other jobs come and go: on a sorted set it is the last
entry's score and member, on the list the absolute position that `place.lua` counts in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Literal, cast

from imagequeue.config.keys import Keys
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text
from imagequeue.queue.views import Status

Place = Literal["running", "queued", "scheduled", "deferred", "failed", "finished", "canceled"]
Position = tuple[float, str]
"""Score and member of the last entry seen; on a list its absolute position and nothing."""

PLACES: Final[tuple[Place, ...]] = ("running", "queued", "scheduled", "deferred", "failed", "finished", "canceled")
PLACES_OF: Final[Mapping[Status, tuple[Place, ...]]] = {
    "running": ("running",),
    "queued": ("queued",),
    "waiting": ("scheduled", "deferred"),
    "failed": ("failed",),
    "expired": ("failed",),
    "succeeded": ("finished",),
    "cancelled": ("canceled", "failed"),
}
REGISTRY_OF: Final[Mapping[Place, str]] = {"running": "wip"}
ENDS: Final[frozenset[Place]] = frozenset({"failed", "finished", "canceled"})


@dataclass(frozen=True, kw_only=True, order=True)
class Shelf:
    """One place of one queue; shelves are gone through in their order."""

    rank: int
    queue: str

    @property
    def place(self) -> Place:
        """Which place it is."""
        return PLACES[self.rank]

    def key(self, keys: Keys) -> str:
        """The key of a shelf that is a registry."""
        return keys.registry(REGISTRY_OF.get(self.place, self.place), self.queue)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One job id on a shelf, and the position after it."""

    id: str
    after: Position


def shelves_of(queues: Sequence[str], places: Sequence[Place]) -> list[Shelf]:
    """Return the shelves of some queues in order."""
    return sorted(Shelf(rank=PLACES.index(place), queue=queue) for place in places for queue in queues)


async def read_piece(
    scripts: Scripts, shelf: Shelf, after: Position | None, count: int, *, now_seconds: float
) -> list[Entry]:
    """Return the next entries of a shelf; none when it is at its end."""
    if shelf.place == "queued":
        return await _from_list(scripts, shelf.queue, after, count)
    return await _from_registry(scripts, shelf, after, count, now_seconds)


async def _from_list(scripts: Scripts, queue: str, after: Position | None, count: int) -> list[Entry]:
    redis, key = scripts.redis, scripts.keys.queue(queue)
    pipe = redis.pipeline(transaction=False)
    pipe.hget(f"{scripts.keys.own}:queue:{queue}", "head")
    pipe.llen(key)
    head_value, length = await pipe.execute()
    head = int(head_value or 0)
    end = length if after is None else min(int(after[0]) - head, length)  # one behind the next entry
    if end <= 0:
        return []
    start = max(end - count, 0)
    ids = await redis.lrange(key, start, end - 1)
    found = [Entry(id=text(job_id), after=(head + start + index, "")) for index, job_id in enumerate(ids)]
    return found[::-1]


async def _from_registry(
    scripts: Scripts, shelf: Shelf, after: Position | None, count: int, now_seconds: float
) -> list[Entry]:
    key = shelf.key(scripts.keys)
    start = 0 if after is None else await _rank_after(scripts, key, after)
    rows = cast(
        "list[tuple[bytes, float]]",  # as withscores says
        await scripts.redis.zrange(key, start, start + count - 1, desc=True, withscores=True),
    )
    found = [(text(member), float(score)) for member, score in rows]
    return [
        Entry(id=job_id_of(member), after=(score, member))
        for member, score in found
        if shelf.place not in ENDS or score > now_seconds
    ]


async def _rank_after(scripts: Scripts, key: str, after: Position) -> int:
    """The rank of the entry after one that was seen, from the highest score; also when that one has left since."""
    score, member = after
    rank = cast("int | None", await scripts.redis.zrevrank(key, member))
    if rank is not None:
        return rank + 1
    if score == inf:  # all entries of the wip registry, which are therefore in the order of their members
        return int(await scripts.redis.zlexcount(key, f"({member}", "+"))
    return int(await scripts.redis.zcount(key, f"({score!r}", "+inf"))


def job_id_of(member: str) -> str:
    """Return the job that an entry of a registry is."""
    return member.partition(":")[0]  # the wip registry has id:execution
