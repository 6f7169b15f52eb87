"""What every benchmark needs: a simulated provider, an embedded Valkey, real workers, their CPU and memory."""

import asyncio
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from redis import Redis

from imagequeue.config.admission import tokens_of
from imagequeue.config.catalog import load_catalog
from imagequeue.config.embedded import ensure_server, stop_server
from imagequeue.config.job import PRIORITIES, Job
from imagequeue.config.settings import Settings, load_settings
from imagequeue.queue.connection import connect
from imagequeue.queue.entries import Entry, enqueue, new_job_id
from imagequeue.queue.scripts import Scripts
from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import RunningSimulator, running_simulator

MODEL = "dall-e-3"
UNLIMITED = 100_000_000.0  # images a minute: more than anything here can ask for
WAIT_SECONDS_MAX = 600.0
POLL_SECONDS = 0.05
PROVIDER_NICENESS = -15


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One benchmark's world. `images_per_minute` None: neither side limits.

    `true_share` is what the provider really allows of the ceiling that the workers know; `model` is
    named like its limit group; `more_environ` goes to the workers on top of the rest.
    """

    images_per_minute: float | None
    latency_seconds: float
    bucket_seconds: float = 0.25
    image_bytes: int = 20_000
    pace_fraction: float = 0.9
    lease_seconds: float = 15.0
    orgs: int = 1
    true_share: float = 1.0
    model: str = MODEL
    more_environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class World:
    """A running world: `settings` as the workers have them, `workers` as they were started.

    `first_served`: the simulated provider gets a core before anybody else here, as a provider elsewhere has its own.
    """

    simulator: RunningSimulator
    environ: dict[str, str]
    settings: Settings
    url: str
    first_served: bool
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, *arguments: str, program: Sequence[str] = ("-m", "imagequeue.worker")) -> psutil.Process:
        """Start a worker and return it once it is registered."""
        before = self.redis().scard("rq:workers")
        process = subprocess.Popen([sys.executable, *program, *arguments], env=self.environ)
        self.workers.append(process)
        wait_until(lambda: self.redis().scard("rq:workers") > before, "the worker to register")
        return psutil.Process(process.pid)

    def redis(self) -> Redis:
        """Return a client of the world's server."""
        return Redis.from_url(self.url)

    def enqueue(self, jobs: Sequence[Job]) -> list[str]:
        """Put jobs on their queues and return their ids."""
        return asyncio.run(self._enqueue(jobs))

    async def _enqueue(self, jobs: Sequence[Job]) -> list[str]:
        redis = connect(self.url)
        catalog = load_catalog()
        entries = [Entry(id=new_job_id(job), job=job, tokens=tokens_of(job, catalog)) for job in jobs]
        await enqueue(Scripts(redis, self.settings.keys), entries, result_ttl_seconds=3600, timeout_seconds=300)
        await redis.aclose()
        return [entry.id for entry in entries]

    def finished(self) -> int:
        """Return how many jobs have succeeded."""
        return self._registered("finished")

    def ended(self) -> int:
        """Return how many jobs have succeeded or failed."""
        return self._registered("finished") + self._registered("failed")

    def _registered(self, registry: str) -> int:
        redis = self.redis()
        return sum(redis.zcard(f"rq:{registry}:{MODEL}.{priority}") for priority in PRIORITIES)


@contextlib.contextmanager
def world(setup: Setup) -> Iterator[World]:
    """Start a world and take it apart again."""
    ceiling = setup.images_per_minute or UNLIMITED
    limits = {setup.model: GroupLimits(images_per_minute=ceiling)}
    true_limits = (
        {setup.model: GroupLimits(images_per_minute=ceiling * setup.true_share)} if setup.true_share < 1 else {}
    )
    orgs = tuple(
        SimulatedOrg(
            name=f"org{i}",
            api_key=f"sk-{i}",
            admin_key=f"sk-admin-{i}",
            limits=limits,
            true_limits=true_limits,
            bucket_seconds=setup.bucket_seconds,
        )
        for i in range(setup.orgs)
    )
    config = SimulatorConfig(
        orgs=orgs,
        latency=Latency(seconds=setup.latency_seconds),
        image_bytes=setup.image_bytes,
        render="fast",
        seed=1,
    )
    with (
        tempfile.TemporaryDirectory(prefix="imagequeue-bench-", ignore_cleanup_errors=True) as folder,
        running_simulator(config) as simulator,
    ):
        first_served = _serve_first(simulator.pid)
        environ = _environ(setup, simulator, Path(folder))
        settings = load_settings(environ)
        running = World(
            simulator=simulator,
            environ=environ,
            settings=settings,
            url=ensure_server(settings.data_dir),
            first_served=first_served,
        )
        try:
            yield running
        finally:
            for worker in running.workers:
                worker.send_signal(signal.SIGTERM)
            for worker in running.workers:
                worker.wait(30)
            stop_server(settings.data_dir)


def _serve_first(pid: int) -> bool:
    """Let a process go before all others on this machine, where the system permits it; return whether it does.

    A provider that waits for a core hears calls together that were sent apart, and refuses what it should not.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, pid, PROVIDER_NICENESS)
    except PermissionError:
        return False
    return True


def _environ(setup: Setup, simulator: RunningSimulator, folder: Path) -> dict[str, str]:
    limits = {setup.model: {"images_per_minute": setup.images_per_minute, "tokens_per_minute": None}}
    orgs = [
        {"name": org.name, "api_key": org.api_key, "base_url": simulator.base_url, "tier": "5", "limits": limits}
        for org in simulator.config.orgs
    ]
    return {
        **os.environ,
        "IMAGEQUEUE_DATA_DIR": str(folder),
        "IMAGEQUEUE_ORGS": json.dumps(orgs),
        "IMAGEQUEUE_MODELS": json.dumps([setup.model]),
        "IMAGEQUEUE_PACE_FRACTION": str(setup.pace_fraction),
        "IMAGEQUEUE_LEASE_SECONDS": str(setup.lease_seconds),
        "IMAGEQUEUE_LOG_LEVEL": "warning",
        **setup.more_environ,
    }


def wait_until(condition: Callable[[], object], what: str, seconds: float = WAIT_SECONDS_MAX) -> None:
    """Return when the condition holds; TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(POLL_SECONDS)


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time a process has used, user and system."""
    times = process.cpu_times()
    return float(times.user + times.system)


def server_process(running: World) -> psutil.Process:
    """Return the process of the world's server."""
    return psutil.Process(int(running.redis().info("server")["process_id"]))


def peak_megabytes(pid: int) -> float:
    """Return the peak resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def machine() -> str:
    """Return one line about where the figures were taken."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def report(title: str, figures: dict[str, object]) -> None:
    """Print a benchmark's figures."""
    print(f"{title} ({machine()})")
    for name, value in figures.items():
        print(f"  {name:<44} {value:.3f}" if isinstance(value, float) else f"  {name:<44} {value}")
