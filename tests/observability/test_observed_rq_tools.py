"""RQ's registries, `rq info`, rq-exporter and our own counts read the same figures of the same queues."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from observed_site import Site, on_site, settings_of
from redis import Redis
from rq import Queue

from imagequeue.queue.claims import ClaimPlan, Claims, Ending, PoolPlan
from imagequeue.queue.hours import HOUR_SECONDS
from imagequeue.simulator.process import RunningSimulator

EXPORTER = Path(sys.prefix) / "rq-exporter" / "bin" / "rq-exporter"
READY_SECONDS_MAX = 60.0
LEASE_US = 60_000_000
QUEUES = ("dall-e-3.high", "dall-e-3.default")
PLAN = ClaimPlan(pools=(PoolPlan(name="p", image_us=0, default=QUEUES[1:]),))


async def prepare(site: Site) -> None:
    """Bring jobs into every place: queued, scheduled, deferred by joining, started, failed, finished."""
    scripts = site.door.scripts
    worker = Claims(scripts, f"w-{uuid4().hex[:8]}")
    await worker.register(lease_us=LEASE_US, facts={"queues": ",".join(QUEUES)}, queues=QUEUES)
    later = (datetime.now(UTC) + timedelta(seconds=HOUR_SECONDS)).isoformat()
    await site.submit(priority="high", not_before=later)
    for _ in range(2):
        await site.submit(priority="high", cache="use", prompt="the same")
    for number in range(5):
        await site.submit(prompt=f"another {number}")
    claims = (await worker.claim(PLAN.encode(), 3)).claims
    assert len(claims) == 3
    error = {"code": "rejected", "message": "no", "retryable": False}
    assert await worker.settle(claims[0], Ending(status="failed", ttl_seconds=HOUR_SECONDS, error=error))
    assert await worker.settle(claims[1], Ending(status="finished", ttl_seconds=HOUR_SECONDS, value={}))


def by_registries(url: str) -> dict[tuple[str, str], int]:
    """Return what RQ's own classes count, by queue and status."""
    connection = Redis.from_url(url)
    found: dict[tuple[str, str], int] = {}
    for name in QUEUES:
        queue = Queue(name, connection=connection, serializer="json")
        found |= {
            (name, "queued"): queue.count,
            (name, "started"): queue.started_job_registry.count,
            (name, "scheduled"): queue.scheduled_job_registry.count,
            (name, "deferred"): queue.deferred_job_registry.count,
            (name, "failed"): queue.failed_job_registry.count,
            (name, "finished"): queue.finished_job_registry.count,
        }
    connection.close()
    return found


async def by_us(site: Site) -> dict[tuple[str, str], int]:
    """Return what `status` counts, in RQ's words."""
    found: dict[tuple[str, str], int] = {}
    for queue in (await site.door.status.read()).queues:
        if queue.name in QUEUES:
            found |= {
                (queue.name, "queued"): queue.queued,
                (queue.name, "started"): queue.running,
                (queue.name, "scheduled"): queue.waiting,
                (queue.name, "deferred"): queue.parked + queue.joined,
                (queue.name, "failed"): queue.failed,
            }
    return found


def check(url: str, ours: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Hold registries and `rq info` against our counts; return RQ's."""
    theirs = by_registries(url)
    assert {key: theirs[key] for key in ours} == ours
    shown = subprocess.run(
        [str(Path(sys.executable).parent / "rq"), "info", "--raw", "--url", url],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    for name in QUEUES:
        numbers = re.search(rf"^queue {re.escape(name)} (\d+)", shown, re.MULTILINE)
        assert numbers is not None, shown
        assert int(numbers[1]) == ours[name, "queued"]
    return theirs


@contextmanager
def exporter(url: str) -> Iterator[str]:
    """Run rq-exporter for the length of a block and give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(EXPORTER), "--host", "127.0.0.1", "--port", str(port), "--redis-url", url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        process.terminate()
        process.wait(30)


def scrape(address: str) -> str:
    """Return the exporter's figures once it answers."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            return httpx.get(address, timeout=30).text
        except httpx.TransportError:
            assert time.monotonic() < deadline, "rq-exporter did not answer"
            time.sleep(0.1)


def test_registries_rq_info_and_rq_exporter_count_what_we_count(
    server_url: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    async def story(site: Site) -> None:
        await prepare(site)
        theirs = check(server_url, await by_us(site))
        assert {status for (_, status), count in theirs.items() if count} == {
            "queued", "started", "scheduled", "deferred", "failed", "finished",
        }  # fmt: skip
        if not EXPORTER.exists():
            assert not os.environ.get("CI"), "`make test` installs rq-exporter"
            pytest.skip("rq-exporter is not installed (`make test` does it)")
        with exporter(server_url) as address:
            text = scrape(address)
        for (name, status), count in theirs.items():
            line = rf'^rq_jobs{{queue="{re.escape(name)}",status="{status}"}} {count}\.0$'
            assert re.search(line, text, re.MULTILINE), (line, text)
        assert re.search(r"^rq_workers\{.*\} 1\.0$", text, re.MULTILINE)

    on_site(settings_of(server_url, simulator, tmp_path, RQ_KEY_PREFIX="rq"), story)
