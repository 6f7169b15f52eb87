"""Pace and cost at Tier 5: 10,000 images a minute, 15 s a call, ledger and 20 kB images included.

    python benchmarks/pace.py [--jobs 4500] [--processes 1]

The rate is that of the starts as the provider saw them. A bare aiohttp client then makes calls of the same kind in the
same run, so that the CPU per job has a measure that moves with the machine.
"""

import argparse

from bare import bare_calls
from harness import MODEL, PRIORITIES, Setup, World, cpu_seconds, peak_megabytes, report, wait_until, world

from imagequeue.config.job import Job

IMAGES_PER_MINUTE = 10_000
FRACTION = 0.9


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--jobs", type=int, default=4500)
    options.add_argument("--latency", type=float, default=15.0)
    options.add_argument("--baseline", type=int, default=1500)
    chosen = options.parse_args()
    setup = Setup(images_per_minute=IMAGES_PER_MINUTE, latency_seconds=chosen.latency, pace_fraction=FRACTION)
    with world(setup) as running:
        figures = run(running, chosen.jobs)
        figures |= bare_calls(running, chosen.baseline, IMAGES_PER_MINUTE * FRACTION / 60)
    figures["CPU ratio to bare aiohttp"] = figures["worker CPU ms a job"] / figures["bare aiohttp: CPU ms a call"]
    report("pace at Tier 5", figures)


def run(running: World, jobs: int) -> dict[str, float]:
    worker = running.start_worker()
    cpu_before = cpu_seconds(worker)
    running.enqueue([Job(prompt=f"picture {i}", model=MODEL, priority=PRIORITIES[i % 3]) for i in range(jobs)])
    wait_until(lambda: running.finished() >= jobs, "all jobs to finish")
    cpu = cpu_seconds(worker) - cpu_before
    stats = running.simulator.control.stats()
    starts = sorted(call["arrived_seconds"] for call in running.simulator.control.calls())
    rate = (len(starts) - 1) / (starts[-1] - starts[0])
    wanted = IMAGES_PER_MINUTE * FRACTION / 60
    return {
        "jobs": float(jobs),
        "starts a second": rate,
        "share of the paced rate": rate / wanted,
        "answers 429": float(stats["rate_limited"]),
        "peak in flight": float(stats["peak_in_flight"]),
        "worker CPU ms a job": 1000 * cpu / jobs,
        "worker peak memory MB": peak_megabytes(worker.pid),
    }


if __name__ == "__main__":
    main()
