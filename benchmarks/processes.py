"""Several processes and organizations: together they keep the pace, and none is refused for their own doing.

    python benchmarks/processes.py [--processes 1 2 4] [--orgs 1] [--per-minute 10000] [--jobs 2400]
    python benchmarks/processes.py --processes 4 --orgs 2 --jobs 9000     (20,000 images a minute, 18,000 of them used)

For each number of processes: the starts as the provider saw them, its answers 429, and how many cores the workers, the
simulated provider and the server used while jobs were started, so that a full machine can be told from a slow queue. A
bare aiohttp client makes calls at the same rate in the same run.
"""

import argparse
import time
from collections.abc import Mapping

import psutil
from bare import bare_calls
from harness import MODEL, PRIORITIES, Setup, World, cpu_seconds, report, server_process, wait_until, world

from imagequeue.config.job import Job

FRACTION = 0.9


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    options.add_argument("--orgs", type=int, default=1)
    options.add_argument("--per-minute", type=float, default=10_000)
    options.add_argument("--jobs", type=int, default=2400)
    options.add_argument("--latency", type=float, default=5.0)
    options.add_argument("--baseline", type=int, default=600)
    chosen = options.parse_args()
    wanted = chosen.per_minute * FRACTION * chosen.orgs / 60
    figures: dict[str, object] = {"starts a second wanted": wanted}
    setup = Setup(
        images_per_minute=chosen.per_minute, latency_seconds=chosen.latency, pace_fraction=FRACTION, orgs=chosen.orgs
    )
    for processes in chosen.processes:
        with world(setup) as running:
            figures |= run(running, chosen.jobs, processes, wanted)
    with world(setup) as running:
        figures |= {"the provider is served first": running.first_served}
        figures |= bare_calls(running, chosen.baseline, wanted)
    report(f"pace of several processes, {chosen.orgs} organizations", figures)


def run(running: World, jobs: int, processes: int, wanted: float) -> dict[str, float]:
    workers = [running.start_worker() for _ in range(processes)]
    parts = {
        "workers": workers,
        "provider": [psutil.Process(running.simulator.pid)],
        "server": [server_process(running)],
    }
    running.enqueue([Job(prompt=f"picture {i}", model=MODEL, priority=PRIORITIES[i % 3]) for i in range(jobs)])
    before, begun = _used(parts), time.monotonic()
    wait_until(lambda: int(running.simulator.control.stats()["calls"]) >= jobs, "all jobs to start")
    started, seconds = _used(parts), time.monotonic() - begun
    wait_until(lambda: running.finished() >= jobs, "all jobs to finish")
    starts = sorted(call["arrived_seconds"] for call in running.simulator.control.calls())
    rate = (len(starts) - 1) / (starts[-1] - starts[0])
    name = f"{processes} processes"
    shares = {f"{name}: cores used by {part}": (started[part] - before[part]) / seconds for part in parts}
    return {
        f"{name}: starts a second": rate,
        f"{name}: share of the paced rate": rate / wanted,
        f"{name}: answers 429": float(running.simulator.control.stats()["rate_limited"]),
        f"{name}: CPU ms a job, all": 1000 * (_used(parts)["workers"] - before["workers"]) / jobs,
        **shares,
    }


def _used(parts: Mapping[str, list[psutil.Process]]) -> dict[str, float]:
    return {part: sum(cpu_seconds(process) for process in processes) for part, processes in parts.items()}


if __name__ == "__main__":
    main()
