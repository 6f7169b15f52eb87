"""The lives of claimed jobs on a real queue, ledger and store, with a provider that answers when the test says so."""

import asyncio
import base64
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from worker_values import CATALOG, answer

from imagequeue.config.clock import SystemClock
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings, load_settings
from imagequeue.queue.claims import Claim, Claims, promote, reap
from imagequeue.queue.entries import Entry, enqueue
from imagequeue.queue.scripts import Scripts
from imagequeue.worker.answer import Answer
from imagequeue.worker.assembly import job_life
from imagequeue.worker.board import Board
from imagequeue.worker.ground import ground_of
from imagequeue.worker.life import JobLife
from imagequeue.worker.opened import Opened, open_parts
from imagequeue.worker.request import Request

TTL_SECONDS = 1000
STORY_SECONDS_MAX = 20
LEASE_US = 60_000_000
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


class HeldBackCaller:
    """A provider: every call waits until the test lets it be answered, in the order of the calls."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[Answer]] = []
        self._came = asyncio.Condition()

    async def call(self, _request: Request, _files: object = None, _tell_event: object = None) -> Answer:
        """Be called."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        async with self._came:
            self.calls.append(future)
            self._came.notify_all()
        return await future

    async def called(self, times: int) -> None:
        """Return when so many calls have come."""
        async with asyncio.timeout(10), self._came:
            await self._came.wait_for(lambda: len(self.calls) >= times)

    def give(self, number: int, status: int = 200, body: object = None) -> None:
        """Answer a call, with an image unless something else is said."""
        image = {"created": 1, "data": [{"b64_json": base64.b64encode(PICTURE).decode()}]}
        now = SystemClock().now()
        said = answer(status, image if body is None else body)
        self.calls[number].set_result(dataclasses.replace(said, sent_at=now, ended_at=now))


class LifeWorld:
    """Everything a job's life touches, and workers to live it."""

    def __init__(self, scripts: Scripts, life: JobLife, board: Board, opened: Opened, settings: Settings) -> None:
        self.scripts, self.life, self.board, self.opened, self.settings = scripts, life, board, opened, settings
        self.caller: HeldBackCaller = opened.caller  # type: ignore[assignment]  # put there by life_world

    async def put(self, **words: object) -> str:
        """Enqueue a job."""
        entry = Entry(id=uuid4().hex, job=Job(**{"prompt": "a cat", "model": "dall-e-3", **words}))
        await enqueue(self.scripts, [entry], result_ttl_seconds=TTL_SECONDS, timeout_seconds=60)
        return entry.id

    async def worker(self) -> Claims:
        """Register a worker."""
        claims = Claims(self.scripts, f"w-{uuid4().hex[:8]}")
        await claims.register(lease_us=LEASE_US, facts={"queues": ""}, queues=self.board.queues)
        return claims

    async def claim(self, claims: Claims) -> Claim:
        """Claim one job."""
        (claim,) = (await claims.claim(self.board.encoded, 1)).claims
        return claim

    async def lose(self, claims: Claims) -> None:
        """Let a worker be given up for dead."""
        await self.scripts.redis.zadd(f"{self.scripts.keys.own}:workers", {claims.worker: 1})
        await reap(self.scripts)

    async def status(self, job_id: str) -> str:
        """Return a job's status in the queue."""
        value = await self.scripts.redis.hget(self.scripts.keys.job(job_id), "status")
        return value.decode() if isinstance(value, bytes) else ""

    async def every_delay_ends(self) -> None:
        """Let the time of every delayed job come."""
        for queue in self.board.queues:
            registry = self.scripts.keys.registry("scheduled", queue)
            for name in await self.scripts.redis.zrange(registry, 0, -1):
                await self.scripts.redis.zadd(registry, {name: 1})
        await promote(self.scripts, self.board.queues)

    async def states(self, job_id: str) -> list[str]:
        """Return the states of a job's attempts in the ledger."""
        return [row.state for row in (await self.opened.ledger.attempts([job_id])).get(job_id, ())]

    async def outcome(self, job_id: str) -> str | None:
        """Return how the ledger says the job ended."""
        found = (await self.opened.ledger.outcomes([job_id])).get(job_id)
        return found.status if found else None


@asynccontextmanager
async def life_world(server_url: str, folder: Path) -> AsyncIterator[LifeWorld]:
    """Build the worker's parts as its main does, with the provider replaced."""
    org = {"name": "main", "api_key": "sk-test", "base_url": "http://127.0.0.1:9/v1", "tier": "5"}
    environ = {
        "IMAGEQUEUE_DATA_DIR": str(folder),
        "IMAGEQUEUE_REDIS_URL": server_url,
        "IMAGEQUEUE_ORGS": json.dumps([org]),
        "RQ_KEY_PREFIX": f"t{uuid4().hex}",
    }
    settings = load_settings(environ)
    async with open_parts(settings, server_url) as real:
        opened = dataclasses.replace(real, caller=HeldBackCaller())  # type: ignore[arg-type]  # the same one method
        ground = ground_of(settings, CATALOG, opened)
        yield LifeWorld(ground.scripts, job_life(ground), ground.board, opened, settings)


def live_through(server_url: str, folder: Path, story: Callable[[LifeWorld], Awaitable[None]]) -> None:
    """Tell a story in a world of its own, to its end."""

    async def run() -> None:
        async with asyncio.timeout(STORY_SECONDS_MAX), life_world(server_url, folder) as world:
            await story(world)

    asyncio.run(run())
