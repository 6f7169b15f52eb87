"""A whole site on one machine for the soak: server, simulated provider, ledger, store, and a client that enqueues."""

import asyncio
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

from redis import Redis
from soak_postgres import Postgres, running_postgresql
from soak_processes import Nursery, Server, running_server

from imagequeue.config.job import PRIORITIES, Job
from imagequeue.config.keys import Keys
from imagequeue.config.settings import Settings, load_settings
from imagequeue.queue.connection import connect
from imagequeue.queue.entries import Entry, enqueue
from imagequeue.queue.scripts import Scripts
from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import RunningSimulator, running_simulator

LedgerKind = Literal["sqlite", "postgresql"]

MODEL: Final = "dall-e-3"
GROUPS: Final = (MODEL, "gpt-image")
"""Limit groups that are open here: the provider refuses nothing for its rate."""
LEASE_SECONDS: Final = 2.0
TTL_SECONDS: Final = 7200
REGISTRIES: Final = ("scheduled", "deferred", "finished", "failed", "canceled")
PLACES: Final = """
local places = {}
for index = 3, #ARGV do
  local id = ARGV[index]
  local key = ARGV[1] .. ':job:' .. id
  local fields = redis.call('HMGET', key, 'origin', 'iq_tenant', 'worker_name')
  local q, tenant, worker = fields[1] or '', fields[2] or 'default', fields[3] or ''
  local count = redis.call('ZSCORE', ARGV[2] .. ':line:' .. q .. ':' .. tenant, id) and 1 or 0
  count = count + redis.call('HEXISTS', ARGV[2] .. ':claims:' .. worker, id)
  for _, registry in ipairs({'scheduled', 'deferred', 'finished', 'failed', 'canceled'}) do
    if redis.call('ZSCORE', ARGV[1] .. ':' .. registry .. ':' .. q, id) then count = count + 1 end
  end
  places[#places + 1] = count
end
return places
"""  # one moment of the server, as no other command can come between


@dataclass(kw_only=True)
class Site:
    """What is running, and what was enqueued; ids begin with the site's name, so that several may share a provider."""

    name: str
    folder: Path
    port: int
    simulator: RunningSimulator
    settings: Settings
    nursery: Nursery
    redis: Any
    server: Server
    postgres: Postgres | None = None
    model: str = MODEL
    acked: list[str] = field(default_factory=list)

    @property
    def keys(self) -> Keys:
        """Names of the keys."""
        return self.settings.keys

    def enqueue(self, many: int, random: Random, **words: Any) -> list[str]:
        """Put jobs on the three queues and remember those that were acknowledged."""
        ids = [f"{self.name}-{len(self.acked) + number}" for number in range(many)]
        entries = [
            Entry(id=name, job=Job(prompt=name, model=self.model, priority=random.choice(PRIORITIES), **words))
            for name in ids
        ]
        asyncio.run(self._send(entries))
        self.acked += ids
        return ids

    def add(self, job: Job) -> str:
        """Put one job of the caller's own on its queue."""
        name = f"{self.name}-{len(self.acked)}"
        asyncio.run(self._send([Entry(id=name, job=job)]))
        self.acked.append(name)
        return name

    async def _send(self, entries: list[Entry]) -> None:
        client = connect(f"redis://127.0.0.1:{self.port}/0")
        scripts = Scripts(client, self.keys)
        await enqueue(scripts, entries, result_ttl_seconds=TTL_SECONDS, timeout_seconds=60)
        await client.aclose()

    def bill(self) -> list[dict[str, Any]]:
        """Return the provider's bill for this site's jobs: those enqueued here, and those that a door took."""
        prefix, taken = f"{self.name}-", set(self.acked)
        rows = [(str(row["client_request_id"]), row) for row in self.simulator.control.bill()]
        return [row for name, row in rows if name.startswith(prefix) or name.rpartition("-")[0] in taken]

    def misplaced(self, ids: Iterable[str]) -> list[str]:
        """Return those jobs that do not have exactly one place at this moment."""
        names = list(ids)
        counts = self.redis.eval(PLACES, 0, self.keys.rq, self.keys.own, *names)
        return [name for name, count in zip(names, counts, strict=True) if count != 1]

    def statuses(self) -> Mapping[str, str]:
        """Return the RQ status of every acknowledged job, '' for one that is gone."""
        with self.redis.pipeline(transaction=False) as pipe:
            for name in self.acked:
                pipe.hget(self.keys.job(name), "status")
            return {name: (status or b"").decode() for name, status in zip(self.acked, pipe.execute(), strict=True)}

    def ended(self) -> int:
        """Return how many jobs have reached their end."""
        with self.redis.pipeline(transaction=False) as pipe:
            for priority in PRIORITIES:
                for registry in ("finished", "failed", "canceled"):
                    pipe.zcard(self.keys.registry(registry, f"{self.model}.{priority}"))
            return sum(pipe.execute())


def environment(folder: Path, port: int, base_url: str, org: SimulatedOrg) -> dict[str, str]:
    """Return a worker's environment: nothing of ours but what is set here."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("IMAGEQUEUE_", "OPENAI_"))}
    limits = {group: {"images_per_minute": None, "tokens_per_minute": None} for group in GROUPS}
    keys = {"api_key": org.api_key, "admin_key": org.admin_key, "project": org.project}
    ours = {"name": "main", **keys, "base_url": base_url, "tier": "5", "limits": limits}
    return {
        **inherited,
        "IMAGEQUEUE_DATA_DIR": str(folder),
        "IMAGEQUEUE_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "IMAGEQUEUE_ORGS": json.dumps([ours]),
        "IMAGEQUEUE_LEASE_SECONDS": str(LEASE_SECONDS),
        "IMAGEQUEUE_CALL_TIMEOUT_SECONDS": "10",
        "IMAGEQUEUE_DRAIN_SECONDS": "5",
        "IMAGEQUEUE_MAX_IN_FLIGHT": "12",
        "IMAGEQUEUE_RESULT_TTL_SECONDS": str(TTL_SECONDS),
        "IMAGEQUEUE_LOG_LEVEL": "warning",
    }


@contextmanager
def running_site(
    *,
    kind: str = "valkey",
    ledger: LedgerKind = "sqlite",
    seed: int = 1,
    latency: Latency | None = None,
    faults: tuple[Any, ...] = (),
    orgs: tuple[str, ...] = ("main",),
    **variables: str,
) -> Iterator[Site]:
    """Start a server and a simulator; yields the site of its first organization, without any worker.

    `variables`: more for its environment.
    """
    quick = latency or Latency(kind="uniform", seconds=0.05, high_seconds=0.3)
    simulated = tuple(SimulatedOrg(name=name, limits=dict.fromkeys(GROUPS, GroupLimits())) for name in orgs)
    config = SimulatorConfig(orgs=simulated, latency=quick, render="fast", image_bytes=0, seed=seed, faults=faults)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imagequeue-soak-")))
        postgres = stack.enter_context(running_postgresql()) if ledger == "postgresql" else None
        server = stack.enter_context(running_server(folder, kind))
        simulator = stack.enter_context(running_simulator(config))
        environ = environment(folder, server.port, simulator.base_url, simulator.org) | variables
        if postgres is not None:
            environ["IMAGEQUEUE_LEDGER_URL"] = postgres.ledger_url
        yield Site(
            name="soak",
            folder=folder,
            port=server.port,
            simulator=simulator,
            settings=load_settings(environ),
            nursery=Nursery(environ, folder),
            redis=stack.enter_context(Redis(port=server.port)),
            server=server,
            postgres=postgres,
        )


def beside(site: Site, name: str, *, port: int, org: str | None = None, model: str = MODEL, **variables: str) -> Site:
    """Return a site of its own (prefix, ledger, store) on the same server and provider, its workers behind `port`.

    `org` is the simulated organization that it is, None for the first.
    """
    simulated = {one.name: one for one in site.simulator.config.orgs}
    payer = site.simulator.org if org is None else simulated[org]
    folder = site.folder / name
    folder.mkdir()
    environ = environment(folder, port, site.simulator.base_url, payer) | {"RQ_KEY_PREFIX": name}
    environ |= variables
    return replace(
        site,
        name=name,
        folder=folder,
        settings=load_settings(environ),
        nursery=Nursery(environ, folder),
        model=model,
        acked=[],
    )
