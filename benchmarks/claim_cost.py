"""What a claim costs the server, from 1,000 to 1,000,000 queued jobs and from 1 to 1,000 tenants.

    python benchmarks/claim_cost.py [--most 1000000]

The figure is the CPU time of the server for a claim of one job, network included. Memory of the server per
queued job is printed too, with a prompt of 60 characters.
"""

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness import MODEL, report
from redis import Redis

from imagequeue.config.embedded import ensure_server, stop_server
from imagequeue.config.job import PRIORITIES, Job, queue_name
from imagequeue.config.keys import Keys
from imagequeue.queue.claims import ClaimPlan, Claims, Ending, PoolPlan
from imagequeue.queue.connection import connect
from imagequeue.queue.entries import Entry, enqueue, new_job_id
from imagequeue.queue.scripts import Scripts

REST_SECONDS_MAX = 300.0
REWRITING = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
CLAIMS = 2000
BATCH = 5000
PROMPT = "a lighthouse on a cliff above the sea, seen from a fishing boat"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One state of the queue in which claims are timed."""

    jobs: int
    tenants: int


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--most", type=int, default=1_000_000)
    chosen = options.parse_args()
    small = Case(jobs=1_000 + CLAIMS, tenants=1)
    cases = [small, Case(jobs=chosen.most, tenants=1), Case(jobs=100_000, tenants=1), Case(jobs=100_000, tenants=1000)]
    figures: dict[str, float] = {}
    costs = []
    for case in cases:
        cost, memory = _measure(case)
        costs.append(cost)
        figures[f"{case.jobs:>9,} jobs, {case.tenants:>5,} tenants: claim CPU us"] = cost
        figures[f"{case.jobs:>9,} jobs, {case.tenants:>5,} tenants: bytes a job"] = memory
    figures["ratio, most jobs to least"] = costs[1] / costs[0]
    figures["ratio, 1,000 tenants to one"] = costs[3] / costs[2]
    report("cost of a claim on the server", figures)


def _measure(case: Case) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="imagequeue-bench-", ignore_cleanup_errors=True) as folder:
        url = ensure_server(Path(folder))
        try:
            return asyncio.run(_run(case, url))
        finally:
            stop_server(Path(folder))


async def _run(case: Case, url: str) -> tuple[float, float]:
    redis = connect(url)
    server = Redis.from_url(url)
    scripts = Scripts(redis, Keys())
    before = server.info("memory")["used_memory"]
    await _fill(scripts, case)
    _at_rest(server)
    memory = (server.info("memory")["used_memory"] - before) / case.jobs
    claims = Claims(scripts, "bench")
    await claims.register(lease_us=600_000_000, facts={"pid": 1}, queues=())
    queues = [queue_name(MODEL, priority) for priority in PRIORITIES]
    pool = PoolPlan(name="main|dall-e-3", image_us=0.0, high=(queues[0],), default=(queues[1],), low=(queues[2],))
    plan = ClaimPlan(pools=(pool,)).encode()
    cpu = _server_cpu(server)
    taken = [claim for _ in range(CLAIMS) for claim in (await claims.claim(plan, 1)).claims]
    spent = 1_000_000 * (_server_cpu(server) - cpu)
    for claim in taken:
        await claims.settle(claim, Ending(status="finished", ttl_seconds=60))
    await redis.aclose()
    return spent / len(taken), memory


def _at_rest(server: Redis) -> None:
    """Wait until the server rewrites its append-only file no more: pages that it copies then are not the claims'."""
    until = time.monotonic() + REST_SECONDS_MAX
    while any(server.info("persistence")[name] for name in REWRITING):
        if time.monotonic() > until:
            raise TimeoutError(f"the server's file was still rewritten after {REST_SECONDS_MAX:g} s")
        time.sleep(0.5)


def _server_cpu(server: Redis) -> float:
    """Return the CPU seconds the server has used; unlike its command statistics not disturbed by other processes."""
    used = server.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


async def _fill(scripts: Scripts, case: Case) -> None:
    for start in range(0, case.jobs, BATCH):
        count = min(BATCH, case.jobs - start)
        jobs = [Job(prompt=PROMPT, model=MODEL, tenant=f"t{(start + i) % case.tenants}") for i in range(count)]
        entries = [Entry(id=new_job_id(job), job=job) for job in jobs]
        await enqueue(scripts, entries, result_ttl_seconds=3600, timeout_seconds=300)


if __name__ == "__main__":
    main()
