"""A queue under test: the product's own calls, one after the other, and the check that every job has one place."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

from redis import Redis

from imagequeue.config.admission import admit
from imagequeue.config.catalog import load_catalog
from imagequeue.config.job import PRIORITIES, Job, queue_name
from imagequeue.config.keys import Keys
from imagequeue.queue import claims as queue_claims
from imagequeue.queue import intake
from imagequeue.queue.claims import Claim, ClaimAnswer, ClaimPlan, Claims, Ending, PoolPlan
from imagequeue.queue.connection import connect
from imagequeue.queue.entries import Accepted, Entry, enqueue
from imagequeue.queue.scripts import Scripts

Value = TypeVar("Value")

MODEL = "dall-e-3"
HIGH, DEFAULT, LOW = QUEUES = tuple(queue_name(MODEL, priority) for priority in PRIORITIES)
TTL_SECONDS = 1000
LEASE_US = 60_000_000
REGISTRIES = ("scheduled", "deferred", "finished", "failed", "canceled")
DONE = Ending(status="finished", ttl_seconds=TTL_SECONDS, value={"status": "succeeded"})
CATALOG = load_catalog()


def pool(name: str = "main|dall-e-3", *, image_us: float = 0, **more: Any) -> PoolPlan:
    """Return a pool that serves all three queues of the model, without a limit unless one is given."""
    queues = {"high": (HIGH,), "default": (DEFAULT,), "low": (LOW,)}
    return PoolPlan(name=name, image_us=image_us, **{**queues, **more})


def plan(*pools: PoolPlan, **more: Any) -> ClaimPlan:
    """Return a plan of the pools, or of one pool without a limit."""
    return ClaimPlan(pools=pools or (pool(),), **more)


def job(*, prompt: str = "a cat", priority: str = "default", **more: Any) -> Job:
    """Return a job of the model."""
    return Job(prompt=prompt, model=MODEL, priority=priority, **more)


@dataclass
class Worker:
    """A worker as the queue knows it."""

    world: "World"
    claims: Claims
    plan: ClaimPlan = field(default_factory=plan)

    @property
    def name(self) -> str:
        """Its name in the queue."""
        return self.claims.worker

    def ask(self, most: int = 1, given: ClaimPlan | None = None) -> ClaimAnswer:
        """Claim and return the whole answer."""
        return self.world.do(self.claims.claim((given or self.plan).encode(), most))

    def claim(self, most: int = 1, given: ClaimPlan | None = None) -> tuple[Claim, ...]:
        """Claim and return what was given."""
        return self.ask(most, given).claims

    def settle(self, claim: Claim, ending: Ending = DONE) -> bool:
        """End a claimed job."""
        return self.world.do(self.claims.settle(claim, ending))

    def requeue(self, claim: Claim, **how: Any) -> bool:
        """Give a claimed job back."""
        return self.world.do(self.claims.requeue(claim, **how))

    def renew(self, lease_us: int = LEASE_US) -> bool:
        """Renew the lease; False when it was lost."""
        return bool(self.world.script("renew", self.name, lease_us, "busy", "", ""))

    def retire(self) -> int:
        """Leave."""
        return self.world.do(self.claims.retire(QUEUES))

    def held(self, *known: str) -> tuple[Claim, ...]:
        """Return what the server has for it beyond the known."""
        return self.world.do(self.claims.held(known))


class World:
    """The product's queue calls on one server, made one by one, and what the server then has."""

    def __init__(self, url: str, keys: Keys) -> None:
        self.url, self.keys = url, keys
        self._runner = asyncio.Runner()
        self.raw: Any = Redis.from_url(url)  # answers as bytes, which the types of redis-py leave open
        self.scripts = Scripts(self.do(_connected(url)), keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.do(self.scripts.redis.aclose())
        self.raw.close()
        self._runner.close()

    def do(self, step: Coroutine[Any, Any, Value]) -> Value:
        """Return what a call of the product gives."""
        return self._runner.run(step)

    def script(self, name: str, *arguments: Any) -> Any:
        """Return what a script answers."""
        return self.do(self.scripts.run(name, arguments))

    # -- steps --------------------------------------------------------------------------------------------------------

    def add(self, *jobs: Job, ids: Sequence[str] = (), tokens: int = 0) -> list[Accepted]:
        """Enqueue jobs in one call."""
        names = list(ids) or [uuid4().hex for _ in jobs]
        entries = [Entry(id=name, job=each, tokens=tokens) for name, each in zip(names, jobs, strict=True)]
        return self.do(enqueue(self.scripts, entries, result_ttl_seconds=TTL_SECONDS, timeout_seconds=300))

    def put(self, *, tokens: int = 0, **words: Any) -> str:
        """Enqueue one job and return its id."""
        return self.add(job(**words), tokens=tokens)[0].id

    def fill(self, many: int, **words: Any) -> list[str]:
        """Enqueue several alike jobs and return their ids."""
        return [accepted.id for accepted in self.add(*(job(**words) for _ in range(many)))]

    def worker(self, given: ClaimPlan | None = None, *, lease_us: int = LEASE_US) -> Worker:
        """Register a worker."""
        claims = Claims(self.scripts, f"w-{uuid4().hex[:12]}")
        self.do(claims.register(lease_us=lease_us, facts={"queues": ",".join(QUEUES), "pid": 1}, queues=QUEUES))
        return Worker(world=self, claims=claims, plan=given or plan())

    def expire(self, worker: Worker) -> None:
        """Let a worker's lease run out now."""
        self.raw.zadd(f"{self.keys.own}:workers", {worker.name: 1}, xx=True)

    def reap(self) -> int:
        """Return the claims of workers whose lease ran out."""
        return self.do(queue_claims.reap(self.scripts))

    def due(self, queue: str = DEFAULT) -> None:
        """Let the time of every delayed job come."""
        registry = self.keys.registry("scheduled", queue)
        for name in self.raw.zrange(registry, 0, -1):
            self.raw.zadd(registry, {name: 1})

    def promote(self) -> int | None:
        """Move delayed jobs whose time has come to their lines."""
        return self.do(queue_claims.promote(self.scripts, QUEUES))

    def cancel(self, job_id: str) -> str:
        """Cancel a job; returns the status it had."""
        return str(self.script("cancel", job_id, TTL_SECONDS).decode())

    def take_in(self, queue: str = DEFAULT) -> intake.Intake:
        """Look for foreign jobs once."""
        return self.do(intake.take_in(self.scripts, queue, check, ttl_seconds=TTL_SECONDS))

    # -- what the server has ------------------------------------------------------------------------------------------

    def field(self, job_id: str, name: str) -> str | None:
        """Return one field of a job hash."""
        value = self.raw.hget(self.keys.job(job_id), name)
        return None if value is None else value.decode()

    def status(self, job_id: str) -> str | None:
        """Return a job's RQ status."""
        return self.field(job_id, "status")

    def error(self, job_id: str) -> str:
        """Return why a job failed."""
        return self.field(job_id, "iq_error") or ""

    def listed(self, queue: str = DEFAULT) -> list[str]:
        """Return RQ's list."""
        return [name.decode() for name in self.raw.lrange(self.keys.queue(queue), 0, -1)]

    def registry(self, name: str, queue: str = DEFAULT) -> set[str]:
        """Return the ids of one of RQ's registries."""
        return {member.decode() for member in self.raw.zrange(self.keys.registry(name, queue), 0, -1)}

    def own_keys(self) -> list[str]:
        """Return the names of all our own keys; a search through the whole server, which other tests have filled."""
        return [key.decode() for key in self.raw.scan_iter(f"{self.keys.own}:*", count=10_000)]

    def lines(self, queue: str = DEFAULT, own_keys: Sequence[str] | None = None) -> dict[str, list[str]]:
        """Return tenant -> ids, in the order in which they are served."""
        prefix = f"{self.keys.own}:line:{queue}:"
        keys = [key for key in (self.own_keys() if own_keys is None else own_keys) if key.startswith(prefix)]
        return {key.removeprefix(prefix): [name.decode() for name in self.raw.zrange(key, 0, -1)] for key in keys}

    def claimed(self, own_keys: Sequence[str] | None = None) -> dict[str, list[str]]:
        """Return job id -> workers that the server says hold it."""
        prefix = f"{self.keys.own}:claims:"
        held = defaultdict(list)
        for key in self.own_keys() if own_keys is None else own_keys:
            if key.startswith(prefix):
                for name in self.raw.hkeys(key):
                    held[name.decode()].append(key.removeprefix(prefix))
        return dict(held)

    def places(self, own_keys: Sequence[str] | None = None) -> dict[str, list[str]]:
        """Return job id -> every place it has: a queue's list, a claim, a registry."""
        found = defaultdict(list)
        where = []
        with self.raw.pipeline(transaction=False) as pipe:
            for queue in QUEUES:
                where.append(f"list {queue}")
                pipe.lrange(self.keys.queue(queue), 0, -1)
                for registry in REGISTRIES:
                    where.append(f"{registry} {queue}")
                    pipe.zrange(self.keys.registry(registry, queue), 0, -1)
            for place, names in zip(where, pipe.execute(), strict=True):
                for name in names:
                    found[name.decode()].append(place)
        for name, holders in self.claimed(own_keys).items():
            found[name] += [f"claim {holder}" for holder in holders]
        return dict(found)

    def check(self, *, exact: bool = True) -> dict[str, list[str]]:
        """Assert that every job has exactly one place, and that what is kept twice agrees; return the places.

        `exact`: positions too, which are only a hint once somebody else has changed a list.
        """
        own_keys = self.own_keys()
        places = self.places(own_keys)
        doubled = {name: where for name, where in places.items() if len(where) != 1}
        assert not doubled, doubled
        for queue in QUEUES:
            self._check_queue(queue, own_keys, exact=exact)
        return places

    def _check_queue(self, queue: str, own_keys: Sequence[str], *, exact: bool) -> None:
        listed, lines = self.listed(queue), self.lines(queue, own_keys)
        meta = self.raw.hgetall(f"{self.keys.own}:queue:{queue}")
        in_line = Counter(name for line in lines.values() for name in line)
        assert in_line == Counter(listed)
        assert int(meta.get(b"indexed", 0)) == len(listed)
        tenants = {name.decode() for name in self.raw.zrange(f"{self.keys.own}:tenants:{queue}", 0, -1)}
        held = {name.decode() for name in self.raw.hkeys(f"{self.keys.own}:held")}
        assert tenants == set(lines) - held
        wip = {member.partition(":")[0] for member in self.registry("wip", queue)}
        assert wip == {name for name in self.claimed(own_keys) if self.field(name, "origin") == queue}
        if exact:
            head = int(meta.get(b"head", 0))
            with self.raw.pipeline(transaction=False) as pipe:
                for name in listed:
                    pipe.hget(self.keys.job(name), "iq_pos")
                assert [int(position) - head for position in pipe.execute()] == list(range(len(listed)))


def check(found: Job, model: str) -> tuple[Job, int]:
    """Admit a foreign job as the worker does."""
    admitted = admit(found, CATALOG, preference=(model,), served=lambda _: True)
    return admitted.job, admitted.tokens


def statuses(world: World, ids: Sequence[str]) -> Mapping[str | None, int]:
    """Return how many of the jobs have which status."""
    return Counter(world.status(each) for each in ids)


async def _connected(url: str) -> Any:
    return connect(url)
