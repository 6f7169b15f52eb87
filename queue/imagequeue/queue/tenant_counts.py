"""How many jobs of single tenants stand where, in place of the counts of all: what a tenant may be told of the queues.

Lines are a tenant's own, so what is queued is counted by the server. Registries are of all tenants: their ids are read,
newest first, and the tenant of each is looked up once for as long as it stands there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

from redis.exceptions import RedisError

from imagequeue.config.errors import QueueUnavailable
from imagequeue.queue.pools import server_now_us
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.shelves import Shelf, job_id_of, shelves_of
from imagequeue.queue.status import QueueStatus
from imagequeue.queue.text import text

LOOKED_AT_MAX: Final = 50_000
"""Jobs that one reading looks at, over all registries; of a registry that holds more the newest count."""
PIECE_MAX: Final = 500
PLACES: Final = ("running", "scheduled", "deferred", "failed")
COUNTED: Final = ("running", "waiting", "parked", "joined", "failed")

Spot = tuple[str, str, str]
"""A tenant, a queue, and one of COUNTED."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Jobs by tenant, queue and place. `at_least`: some registry held more jobs than were looked at."""

    jobs: Mapping[Spot, int] = field(default_factory=dict)
    at_least: bool = False

    def of(self, tenant: str, queue: QueueStatus, queued: int, oldest_s: float | None) -> QueueStatus:
        """Return a queue with one tenant's counts in place of all tenants'."""
        running, waiting, parked, joined, failed = (self.jobs.get((tenant, queue.name, place), 0) for place in COUNTED)
        return replace(
            queue,
            queued=queued,
            running=running,
            waiting=waiting,
            parked=parked,
            joined=joined,
            failed=failed,
            oldest_s=oldest_s,
        )


class TenantCounter:
    """Counts jobs by tenant; remembers whose the jobs are that stood somewhere at the last reading."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._tenants: dict[str, str] = {}

    async def read(self) -> Counts:
        """Return the counts of all tenants; QueueUnavailable when Redis does not answer."""
        try:
            return await self._read()
        except RedisError as error:
            raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error

    async def own(self, tenant: str, queues: Sequence[QueueStatus], counts: Counts) -> tuple[QueueStatus, ...]:
        """Return the queues as one tenant may see them: those that are served, and those it has jobs in."""
        try:
            lines = await self._lines(tenant, [queue.name for queue in queues])
        except RedisError as error:
            raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
        own = [counts.of(tenant, queue, *line) for queue, line in zip(queues, lines, strict=True)]
        return tuple(queue for queue in own if queue.served or has_jobs(queue))

    async def _lines(self, tenant: str, queues: Sequence[str]) -> list[tuple[int, float | None]]:
        """How many jobs stand in a tenant's line of each queue, and how long the first has."""
        now_seconds = await server_now_us(self._scripts) / 1_000_000
        pipe = self._scripts.redis.pipeline(transaction=False)
        for queue in queues:
            line = f"{self._scripts.keys.own}:line:{queue}:{tenant}"
            pipe.zcard(line)
            pipe.zrange(line, 0, 0, withscores=True)
        answers = await pipe.execute() if queues else []
        return [
            (int(queued), _age_seconds(first, now_seconds))
            for queued, first in zip(answers[0::2], answers[1::2], strict=True)
        ]

    async def _read(self) -> Counts:
        keys, redis = self._scripts.keys, self._scripts.redis
        names = [text(name).removeprefix(keys.queue("")) for name in await redis.smembers(keys.queues)]
        now_seconds = await server_now_us(self._scripts) / 1_000_000
        standing: list[tuple[str, str, str]] = []
        at_least = False
        for shelf in shelves_of(names, PLACES):
            room = LOOKED_AT_MAX - len(standing)
            rows = await self._ids(shelf, room + 1, now_seconds)
            at_least = at_least or len(rows) > room
            standing += [(job_id, shelf.queue, _place(shelf, score)) for job_id, score in rows[:room]]
        await self._learn([job_id for job_id, _, _ in standing])
        return Counts(jobs=_counted(standing, self._tenants), at_least=at_least)

    async def _ids(self, shelf: Shelf, count: int, now_seconds: float) -> list[tuple[str, float]]:
        """Ids and scores, the highest score first; ended jobs past their time are left out."""
        rows = await self._scripts.redis.zrange(
            shelf.key(self._scripts.keys),
            "+inf",
            now_seconds if shelf.place == "failed" else "-inf",
            desc=True,
            byscore=True,
            offset=0,
            num=count,
            withscores=True,
        )
        return [(job_id_of(text(member)), float(score)) for member, score in cast("list[tuple[bytes, float]]", rows)]

    async def _learn(self, ids: Sequence[str]) -> None:
        """Know the tenants of these jobs, and of no others."""
        known = {job_id: self._tenants[job_id] for job_id in ids if job_id in self._tenants}
        new = [job_id for job_id in ids if job_id not in known]
        for start in range(0, len(new), PIECE_MAX):
            some = new[start : start + PIECE_MAX]
            pipe = self._scripts.redis.pipeline(transaction=False)
            for job_id in some:
                pipe.hget(self._scripts.keys.job(job_id), "iq_tenant")
            found = await pipe.execute(raise_on_error=False)
            known |= {job_id: text(name) for job_id, name in zip(some, found, strict=True) if isinstance(name, bytes)}
        self._tenants = known


def has_jobs(queue: QueueStatus) -> bool:
    """Return whether anything stands in a queue."""
    return any((queue.queued, queue.running, queue.waiting, queue.parked, queue.joined, queue.failed))


def _place(shelf: Shelf, score: float) -> str:
    """What a shelf's jobs are counted as; jobs that follow another are deferred below 0 (flight.lua)."""
    match shelf.place:
        case "scheduled":
            return "waiting"
        case "deferred":
            return "parked" if score >= 0 else "joined"
        case _:
            return shelf.place


def _counted(standing: Iterable[tuple[str, str, str]], tenants: Mapping[str, str]) -> dict[Spot, int]:
    jobs: dict[Spot, int] = {}
    for job_id, queue, place in standing:
        if job_id in tenants:
            spot = (tenants[job_id], queue, place)
            jobs[spot] = jobs.get(spot, 0) + 1
    return jobs


def _age_seconds(first: Sequence[tuple[bytes, float]], now_seconds: float) -> float | None:
    """How long the first of a line has waited; its score is when it came, in microseconds."""
    return round(max(now_seconds - float(first[0][1]) / 1_000_000, 0.0), 3) if first else None
