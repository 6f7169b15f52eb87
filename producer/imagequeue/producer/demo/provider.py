"""The simulated provider of the demonstration: started as a command of its own, asked through its own door."""

import asyncio
import json
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from imagequeue.config.errors import ImageQueueError
from imagequeue.producer.demo.children import child, tail

READY_SECONDS_MAX: Final = 30.0
ANSWER_SECONDS_MAX: Final = 30.0
PAGES_MAX: Final = 1_000
LOG: Final = "provider.log"

TIER: Final = "5"
CONFIG: Final[Mapping[str, object]] = {
    "orgs": [{"name": "demo", "tier": TIER}],
    "latency": {"kind": "lognormal", "seconds": 2.0, "sigma": 0.25, "high_seconds": 6.0},
    "image_bytes": 20_000,
    "render": "fast",
}
FAULTS: Final[tuple[Mapping[str, object], ...]] = (
    {"kind": "rate_limit", "count": 3, "retry_after_seconds": 1},
    {"kind": "billed_server_error", "count": 1},
    {"kind": "billed_reset", "count": 1},
    {"kind": "reset", "count": 1},
)
"""Provoked on purpose: refusals, an answer 500 for an image that was made and charged, and broken connections."""


@dataclass(frozen=True, kw_only=True)
class BillLine:
    """One request on the provider's bill, under the name that we gave the call."""

    name: str
    nano_usd: int


class Provider:
    """The running simulator."""

    def __init__(self, http: httpx.AsyncClient, base_url: str, api_key: str) -> None:
        self._http = http
        self.base_url = base_url
        self.api_key = api_key

    async def stats(self) -> dict[str, Any]:
        """Return what it counted: calls, 429s, starts per second."""
        return await self._get("/sim/stats")

    async def misbehave(self) -> None:
        """Let the next calls meet FAULTS."""
        await self._ask("POST", "/sim/faults", {"faults": list(FAULTS)})

    async def provoked_refusals(self) -> int:
        """Return how many calls were refused by FAULTS and not for their pace."""
        rules = (await self._get("/sim/faults"))["faults"]
        return sum(rule["hits"] for rule in rules if rule["kind"] == "rate_limit")

    async def bill(self) -> list[BillLine]:
        """Return what it charges for, call by call."""
        lines: list[BillLine] = []
        after: int | None = 0
        for _ in range(PAGES_MAX):
            page = await self._get(f"/sim/bill?after={after}")
            lines += [
                BillLine(name=row["client_request_id"] or row["request_id"], nano_usd=row["nano_usd"])
                for row in page["rows"]
                if row["billed"]
            ]
            after = page["next"]
            if after is None:
                return lines
        raise ImageQueueError("the simulated provider's bill does not end")

    async def _get(self, path: str) -> dict[str, Any]:
        return await self._ask("GET", path, None)

    async def _ask(self, method: str, path: str, body: object) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, json=body)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise ImageQueueError(f"the simulated provider does not answer ({type(error).__name__})") from error
        found: dict[str, Any] = answer.json()
        return found


@asynccontextmanager
async def running_provider(folder: Path, environ: Mapping[str, str]) -> AsyncIterator[Provider]:
    """Start the simulator on a free port and stop it at the end of the block."""
    config = folder / "provider.json"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    arguments = ["simulate", "--port", "0", "--json", "--until-stdin-closes", "--config", str(config)]
    async with child(arguments, environ=environ, folder=folder, log=LOG) as process:
        ready = await _ready(process, folder)
        async with httpx.AsyncClient(base_url=ready["url"], timeout=ANSWER_SECONDS_MAX, trust_env=False) as http:
            yield Provider(http, ready["base_url"], ready["orgs"][0]["api_key"])


async def _ready(process: Process, folder: Path) -> dict[str, Any]:
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            line = await process.stdout.readline() if process.stdout else b""
            found: dict[str, Any] = json.loads(line)
            return found
    except (TimeoutError, ValueError) as error:
        raise ImageQueueError(f"the simulated provider did not start: {tail(folder / LOG)}") from error
