"""Raw throughput of one worker process: no pace limit, 1 ms calls, ledger and 20 kB images included.

    python benchmarks/raw.py [--jobs 5000]

A stock RQ SimpleWorker making the same call with a plain HTTP client, without ledger or images, runs in the same world.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from harness import MODEL, Setup, World, cpu_seconds, report, wait_until, world
from rq import Queue

from imagequeue.config.job import Job


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--jobs", type=int, default=5000)
    options.add_argument("--stock", type=int, default=300)
    chosen = options.parse_args()
    with world(Setup(images_per_minute=None, latency_seconds=0.001)) as running:
        figures = ours(running, chosen.jobs)
        figures |= stock(running, chosen.stock)
    figures["ratio to the stock worker"] = figures["jobs a second"] / figures["stock SimpleWorker jobs a second"]
    report("raw throughput, one process", figures)


def ours(running: World, jobs: int) -> dict[str, float]:
    worker = running.start_worker()
    cpu_before = cpu_seconds(worker)
    running.enqueue([Job(prompt=f"picture {i}", model=MODEL) for i in range(jobs)])
    wait_until(lambda: running.finished() >= jobs, "all jobs to finish")
    cpu = cpu_seconds(worker) - cpu_before
    calls = sorted(call["arrived_seconds"] for call in running.simulator.control.calls())
    return {"jobs a second": (jobs - 1) / (calls[-1] - calls[0]), "worker CPU ms a job": 1000 * cpu / jobs}


def stock(running: World, jobs: int) -> dict[str, float]:
    """Run the same call through RQ's own worker, burst, one process."""
    queue = Queue("stock", connection=running.redis(), serializer="json")
    for i in range(jobs):
        queue.enqueue("stock_job.call", running.simulator.base_url, running.simulator.api_key, f"picture {i}")
    started = time.monotonic()
    command = [
        sys.executable, "-m", "rq.cli", "worker", "stock", "--burst", "--quiet", "--url", running.url,
        "--worker-class", "rq.SimpleWorker", "--serializer", "json",
    ]  # fmt: skip
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)}, check=True)
    seconds = time.monotonic() - started
    done = queue.finished_job_registry.get_job_count(cleanup=False)
    if done != jobs:
        raise RuntimeError(f"the stock worker finished {done} of {jobs} jobs")
    return {"stock SimpleWorker jobs a second": jobs / seconds}


if __name__ == "__main__":
    main()
