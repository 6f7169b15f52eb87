"""What a worker spends its CPU on, by part, at Tier 5: 15 s calls, ledger and 20 kB images included.

python benchmarks/worker_profile.py [--jobs 3000] [--latency 15]
"""

import argparse
import json
import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness import MODEL, PRIORITIES, Setup, World, cpu_seconds, report, wait_until, world

from imagequeue.config.job import Job

IMAGES_PER_MINUTE = 10_000


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--jobs", type=int, default=3000)
    options.add_argument("--latency", type=float, default=15.0)
    chosen = options.parse_args()
    setup = Setup(images_per_minute=IMAGES_PER_MINUTE, latency_seconds=chosen.latency)
    with tempfile.TemporaryDirectory() as folder, world(setup) as running:
        report("where a worker's CPU goes, ms a job", run(running, chosen.jobs, Path(folder, "profile.json")))


def run(running: World, jobs: int, told: Path) -> dict[str, float]:
    running.environ["PROFILE_FILE"] = str(told)
    worker = running.start_worker(program=(str(Path(__file__).with_name("profiled_worker.py")),))
    started, before = _read(worker.pid, told), cpu_seconds(worker)
    running.enqueue([Job(prompt=f"picture {i}", model=MODEL, priority=PRIORITIES[i % 3]) for i in range(jobs)])
    wait_until(lambda: running.finished() >= jobs, "all jobs to finish")
    used, ended = cpu_seconds(worker) - before, _read(worker.pid, told)
    figures = {
        **{part: ended["main"][part] - started["main"].get(part, 0.0) for part in ended["main"]},
        **{f"thread {name}": value - started["threads"].get(name, 0.0) for name, value in ended["threads"].items()},
    }
    in_order = sorted(figures.items(), key=lambda figure: -figure[1])
    return {part: 1000 * value / jobs for part, value in in_order} | {"all": 1000 * used / jobs}


def _read(pid: int, told: Path) -> Mapping[str, Mapping[str, float]]:
    """Ask the worker for its table so far."""
    told.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    wait_until(told.exists, "the worker's table")
    table: Mapping[str, Mapping[str, float]] = json.loads(told.read_text())
    return table


if __name__ == "__main__":
    main()
