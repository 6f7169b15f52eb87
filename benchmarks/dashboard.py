"""The dashboard over a long queue: how fast the overview is, what ten viewers cost, and whether claims notice.

    python benchmarks/dashboard.py [--jobs 1000000] [--tenants 100] [--viewers 10] [--seconds 20]

Jobs are enqueued through our own scripts, some thousands at a time, so that memory stays small here; a part of them is
in the ledger as well. The door is a process of its own. Each overview is timed after everything it remembers is stale.
A viewer asks as the page's script does. The share of a core is the door's CPU time with viewers, less what it uses
without any. Claims are timed in turns with viewers and without, in this process, as a worker would make them.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
from harness import MODEL, report

from imagequeue.config.embedded import ensure_server, stop_server
from imagequeue.config.job import PRIORITIES, Job, queue_name
from imagequeue.config.keys import Keys
from imagequeue.ledger.api import Held, HoldRequest, ImageRecord, Settlement
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.claims import ClaimPlan, Claims, Ending, PoolPlan
from imagequeue.queue.connection import connect
from imagequeue.queue.entries import Entry, enqueue, new_job_id
from imagequeue.queue.scripts import Scripts

BATCH = 5_000
SETTLED = 5_000
STALE_SECONDS = 3.0
LOOKS = 10
LIVE_SECONDS = 3.0
CLAIMS_A_TURN = 300
TURNS = 6
ORGS = '[{"name": "main", "api_key": "sk-local", "base_url": "http://127.0.0.1:9/v1", "tier": "5"}]'


@dataclass(frozen=True, kw_only=True)
class Site:
    """A running door and the server behind it."""

    url: str
    door: psutil.Process
    server: str

    def overview(self) -> float:
        """Return the seconds that one overview took."""
        began = time.perf_counter()
        answer = httpx.get(f"{self.url}/dashboard/", timeout=60)
        took = time.perf_counter() - began
        answer.raise_for_status()
        assert "Pace against" in answer.text
        return took


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--jobs", type=int, default=1_000_000)
    options.add_argument("--tenants", type=int, default=100)
    options.add_argument("--viewers", type=int, default=10)
    options.add_argument("--seconds", type=float, default=20.0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="imagequeue-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = ensure_server(folder)
        try:
            began = time.perf_counter()
            asyncio.run(_fill(server, folder, chosen.jobs, chosen.tenants))
            figures = {"filled in s": time.perf_counter() - began}
            with _door(folder, server) as site:
                figures |= _measured(site, chosen)
        finally:
            stop_server(folder)
    report(f"dashboard with {chosen.jobs:,} jobs of {chosen.tenants} tenants, {chosen.viewers} viewers", figures)


def _measured(site: Site, chosen: argparse.Namespace) -> dict[str, float]:
    site.overview()
    looks, began = [], site.door.cpu_times()
    for _ in range(LOOKS):
        time.sleep(STALE_SECONDS)
        looks.append(1_000 * site.overview())
    used = site.door.cpu_times()
    each = 1_000 * (used.user + used.system - began.user - began.system) / LOOKS
    alone = _share_of_core(site, chosen.seconds)
    with _viewers(site, chosen.viewers):
        time.sleep(LIVE_SECONDS)
        watched = _share_of_core(site, chosen.seconds)
    calm, seen = _claims(site, chosen.viewers)
    return {
        "overview ms, median": statistics.median(looks),
        "overview ms, worst": max(looks),
        "overview, CPU ms of the door": each,
        "door without viewers, percent of a core": alone,
        "door with viewers, percent of a core": watched,
        "viewers, percent of a core": watched - alone,
        "claim us, median, no viewer": calm,
        "claim us, median, with viewers": seen,
        "claim time, ratio": seen / calm,
    }


def _share_of_core(site: Site, seconds: float) -> float:
    def used() -> float:
        times = site.door.cpu_times()
        return float(times.user + times.system)

    before, began = used(), time.perf_counter()
    time.sleep(seconds)
    return 100 * (used() - before) / (time.perf_counter() - began)


@contextmanager
def _viewers(site: Site, count: int) -> Iterator[None]:
    """Let so many viewers look, each with a session of its own, from a process of their own."""
    command = [sys.executable, __file__.replace("dashboard.py", "dashboard_viewers.py"), site.url, str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "looking"
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _claims(site: Site, viewers: int) -> tuple[float, float]:
    """Return the median microseconds of a claim without and with viewers, measured in turns."""
    calm: list[float] = []
    seen: list[float] = []
    for turn in range(TURNS):
        if turn % 2:
            with _viewers(site, viewers):
                seen += asyncio.run(_claim_times(site.server))
        else:
            calm += asyncio.run(_claim_times(site.server))
    return statistics.median(calm), statistics.median(seen)


async def _claim_times(server: str) -> list[float]:
    redis = connect(server)
    claims = Claims(Scripts(redis, Keys()), f"bench-{time.monotonic_ns()}")
    await claims.register(lease_us=600_000_000, facts={"pid": os.getpid()}, queues=())
    high, default, low = (queue_name(MODEL, priority) for priority in PRIORITIES)
    pool = PoolPlan(name="main|dall-e-3", image_us=0.0, high=(high,), default=(default,), low=(low,))
    plan = ClaimPlan(pools=(pool,)).encode()
    times, taken = [], []
    for _ in range(CLAIMS_A_TURN):
        began = time.perf_counter()
        taken += (await claims.claim(plan, 1)).claims
        times.append(1_000_000 * (time.perf_counter() - began))
        await asyncio.sleep(0.01)  # over some seconds, so that looks fall among them
    for claim in taken:
        await claims.settle(claim, Ending(status="finished", ttl_seconds=60))
    await redis.aclose()
    return times


async def _fill(server: str, folder: Path, count: int, tenants: int) -> None:
    redis = connect(server)
    scripts = Scripts(redis, Keys())
    for start in range(0, count, BATCH):
        entries = [_entry(number, tenants) for number in range(start, min(start + BATCH, count))]
        await enqueue(scripts, entries, result_ttl_seconds=3600, timeout_seconds=300)
    await redis.aclose()
    ledger = await Ledger.open(f"sqlite:///{folder}/ledger.sqlite3", commits_per_second=1_000)
    await asyncio.gather(*(_settled(ledger, number, tenants) for number in range(SETTLED)))
    await ledger.aclose()


def _entry(number: int, tenants: int) -> Entry:
    job = Job(
        prompt=f"a lighthouse on a cliff above the sea, seen from fishing boat {number}",
        model=MODEL,
        tenant=f"tenant-{number % tenants}",
        priority=PRIORITIES[number % 3],
    )
    return Entry(id=new_job_id(job), job=job)


async def _settled(ledger: Ledger, number: int, tenants: int) -> None:
    request = HoldRequest(
        job_id=f"settled-{number}",
        lease_token=f"bench-{number}",
        org="main",
        model=MODEL,
        tenant=f"tenant-{number % tenants}",
        priority="default",
        operation="generation",
        images=1,
        upper_bound_nano=40_000_000,
        catalog_version="bench",
    )
    held = await ledger.hold(request)
    assert isinstance(held, Held)
    now = datetime.now(UTC)
    sent = now - timedelta(seconds=10 + number % 10)
    image = ImageRecord(sha256=f"{number:064x}", bytes=1_000, width=1024, height=1024, format="png")
    settlement = Settlement(usd_nano=40_000_000, images=(image,), sent_at=sent, ended_at=now, status_code=200)
    await ledger.settle(held.attempt_id, settlement)


@contextmanager
def _door(folder: Path, server: str) -> Iterator[Site]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("IMAGEQUEUE_")}
    environ = own | {"IMAGEQUEUE_DATA_DIR": str(folder), "IMAGEQUEUE_ORGS": ORGS}
    command = [sys.executable, "-m", "imagequeue.producer.main", "api", "--port", "0"]
    with (folder / "door.log").open("w") as log:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        url = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
        yield Site(url=url, door=psutil.Process(process.pid), server=server)
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
