"""A worker against the simulated provider: run to the end of its work inside the test, or as a process of its own."""

import asyncio
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis import Redis

from imagequeue.config.catalog import load_catalog
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings, load_settings
from imagequeue.ledger.api import AttemptRow, Outcome
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue import pools
from imagequeue.queue.connection import connect
from imagequeue.queue.entries import Entry, enqueue
from imagequeue.queue.pools import PoolState
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.ways import ways_out
from imagequeue.simulator.process import RunningSimulator
from imagequeue.worker import main

BURST_SECONDS_MAX = 40.0
CATALOG = load_catalog()
LIMITS = {"dall-e-3": {"images_per_minute": 60_000, "tokens_per_minute": None}}


@dataclass(kw_only=True)
class WorkerSite:
    """A prefix, a ledger and a store of the test's own, and what became of its jobs."""

    environ: dict[str, str]
    settings: Settings
    simulator: RunningSimulator
    redis: Any

    def put(self, **words: Any) -> str:
        """Enqueue a job."""
        job = Job(**{"prompt": "a cat", "model": "dall-e-3", **words})
        entry = Entry(id=uuid4().hex, job=job, overflow=ways_out(job, CATALOG))
        asyncio.run(self._send(entry))
        return entry.id

    async def _send(self, entry: Entry) -> None:
        client = connect(self.environ["IMAGEQUEUE_REDIS_URL"])
        await enqueue(Scripts(client, self.settings.keys), [entry], result_ttl_seconds=1000, timeout_seconds=60)
        await client.aclose()

    def burst(self) -> None:
        """Run a worker until nothing is left that it could do."""

        async def story() -> None:
            async with asyncio.timeout(BURST_SECONDS_MAX):
                await main._work(self.settings, main.WorkerOptions(burst=True))

        asyncio.run(story())

    def field(self, job_id: str, name: str) -> str:
        """Return a field of the job hash, empty when there is none."""
        return (self.redis.hget(self.settings.keys.job(job_id), name) or b"").decode()

    def status(self, job_id: str) -> str:
        """Return RQ's status."""
        return self.field(job_id, "status")

    def error(self, job_id: str) -> dict[str, Any]:
        """Return why a job failed."""
        error: dict[str, Any] = json.loads(self.field(job_id, "iq_error") or "{}")
        return error

    def pool(self, name: str = "main|dall-e-3") -> PoolState:
        """Return a pool's state."""

        async def story() -> PoolState:
            client = connect(self.environ["IMAGEQUEUE_REDIS_URL"])
            found = await pools.states(Scripts(client, self.settings.keys), (name,))
            await client.aclose()
            return found[name]

        return asyncio.run(story())

    def attempts(self, job_id: str) -> tuple[AttemptRow, ...]:
        """Return the job's attempts in the ledger."""

        async def story() -> tuple[AttemptRow, ...]:
            ledger = await Ledger.open(self.settings.ledger_url.get_secret_value())
            found = (await ledger.attempts([job_id])).get(job_id, ())
            await ledger.aclose()
            return found

        return asyncio.run(story())

    def states(self, job_id: str) -> list[str]:
        """Return the states of the job's attempts, in order."""
        return [row.state for row in self.attempts(job_id)]

    def outcome(self, job_id: str) -> Outcome | None:
        """Return how the ledger says the job ended."""

        async def story() -> Outcome | None:
            ledger = await Ledger.open(self.settings.ledger_url.get_secret_value())
            found = (await ledger.outcomes([job_id])).get(job_id)
            await ledger.aclose()
            return found

        return asyncio.run(story())

    def billed(self, job_id: str) -> Counter[bool]:
        """Return how many calls of the job are on the provider's bill, with and without a charge."""
        rows = self.simulator.control.bill()
        return Counter(row["billed"] for row in rows if str(row["client_request_id"]).startswith(job_id))


def worker_site(
    url: str, simulator: RunningSimulator, folder: Path, *, orgs: tuple[str, ...] = ("main",), **more: str
) -> WorkerSite:
    """Return a site whose organizations are those of the simulator with these names; `more` environment beside it."""
    keys = {org.name: org.api_key for org in simulator.config.orgs}
    entries = [
        {"name": name, "api_key": keys[name], "base_url": simulator.base_url, "tier": "5", "limits": LIMITS}
        for name in orgs
    ]
    environ = {
        "IMAGEQUEUE_DATA_DIR": str(folder),
        "IMAGEQUEUE_REDIS_URL": url,
        "IMAGEQUEUE_ORGS": json.dumps(entries),
        "IMAGEQUEUE_CALL_TIMEOUT_SECONDS": "5",
        "IMAGEQUEUE_LEASE_SECONDS": "5",
        "RQ_KEY_PREFIX": f"t{uuid4().hex}",
        **more,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("IMAGEQUEUE_", "OPENAI_"))}
    settings = load_settings(environ)
    return WorkerSite(
        environ={**inherited, **environ}, settings=settings, simulator=simulator, redis=Redis.from_url(url)
    )
