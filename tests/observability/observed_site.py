"""One installation inside the test's process: a door, a worker and a simulated provider, on keys of the test's own."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from imagequeue.config.settings import Settings, load_settings
from imagequeue.producer.door.app import build_app
from imagequeue.producer.door.main import opened_door
from imagequeue.producer.door.mounts import Mounted
from imagequeue.producer.door.parts import Door
from imagequeue.simulator.config import SimulatedOrg, SimulatorConfig
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import RunningSimulator
from imagequeue.worker import main

LIMITS = {"dall-e-3": {"images_per_minute": 60_000, "tokens_per_minute": None}}
BURST_SECONDS_MAX = 60.0


def quick_provider() -> SimulatorConfig:
    """Return a provider without limits that answers at once."""
    org = SimulatedOrg(name="main", limits={})
    return SimulatorConfig(orgs=(org,), latency=Latency(seconds=0.01), render="fast", image_bytes=0, seed=3)


def settings_of(url: str, simulator: RunningSimulator, folder: Path, **more: str) -> Settings:
    """Return settings under a prefix of the test's own; `more` environment beside it."""
    org = {
        "name": "main", "api_key": simulator.api_key, "base_url": simulator.base_url, "tier": "5", "limits": LIMITS,
        "monthly_cap_usd": "10.00",
    }  # fmt: skip
    environ = {
        "IMAGEQUEUE_DATA_DIR": str(folder),
        "IMAGEQUEUE_REDIS_URL": url,
        "IMAGEQUEUE_ORGS": json.dumps([org]),
        "IMAGEQUEUE_TENANT_CAPS": json.dumps({"default": {"day_usd": "5.00"}}),
        "IMAGEQUEUE_CALL_TIMEOUT_SECONDS": "10",
        "RQ_KEY_PREFIX": f"t{uuid4().hex}",
        **more,
    }
    return load_settings(environ)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A door that is open, by its application and its parts."""

    settings: Settings
    door: Door
    client: httpx.AsyncClient

    async def submit(self, **fields: object) -> str:
        """Queue a job through the door and return its id."""
        headers = fields.pop("headers", None)
        body = {"prompt": "a lighthouse", "model": "dall-e-3", **fields}
        answer = await self.client.post("/v1/jobs", json=body, headers=headers)  # type: ignore[arg-type]  # a mapping of text
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def burst(self) -> None:
        """Run a worker until nothing is left that it could do."""
        async with asyncio.timeout(BURST_SECONDS_MAX):
            await main._work(self.settings, main.WorkerOptions(burst=True))

    async def metrics(self, **query: str) -> str:
        """Return what `/metrics` says."""
        answer = await self.client.get("/metrics", params=query)
        assert answer.status_code == 200, answer.text
        return answer.text


@asynccontextmanager
async def opened_site(settings: Settings) -> AsyncIterator[Site]:
    """Give the door for the length of a block."""
    async with opened_door(settings, may_be_open=True) as door:
        transport = httpx.ASGITransport(build_app(door, Mounted()))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Site(settings=settings, door=door, client=client)


def on_site(settings: Settings, story: Callable[[Site], Awaitable[None]]) -> None:
    """Run a story with the door open."""

    async def told() -> None:
        async with opened_site(settings) as site:
            await story(site)

    asyncio.run(told())
