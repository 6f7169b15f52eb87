"""Several processes and organizations: together they keep the pace, and none is refused for their own doing.

python benchmarks/processes.py [--processes 1 2 4] [--orgs 1] [--per-minute 10000] [--jobs 2400]

python benchmarks/processes.py --processes 4 --orgs 2     (20,000 images a minute, 18,000 of them used)
"""

import argparse

from harness import MODEL, PRIORITIES, Setup, World, cpu_seconds, report, wait_until, world

from imagequeue.config.job import Job

FRACTION = 0.9


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    options.add_argument("--orgs", type=int, default=1)
    options.add_argument("--per-minute", type=float, default=10_000)
    options.add_argument("--jobs", type=int, default=2400)
    options.add_argument("--latency", type=float, default=5.0)
    chosen = options.parse_args()
    figures: dict[str, float] = {}
    for processes in chosen.processes:
        setup = Setup(
            images_per_minute=chosen.per_minute,
            latency_seconds=chosen.latency,
            pace_fraction=FRACTION,
            orgs=chosen.orgs,
        )
        with world(setup) as running:
            wanted = chosen.per_minute * FRACTION * chosen.orgs / 60
            figures |= run(running, chosen.jobs, processes, wanted)
    report(f"pace of several processes, {chosen.orgs} organizations", figures)


def run(running: World, jobs: int, processes: int, wanted: float) -> dict[str, float]:
    workers = [running.start_worker() for _ in range(processes)]
    before = sum(cpu_seconds(worker) for worker in workers)
    running.enqueue([Job(prompt=f"picture {i}", model=MODEL, priority=PRIORITIES[i % 3]) for i in range(jobs)])
    wait_until(lambda: running.finished() >= jobs, "all jobs to finish")
    cpu = sum(cpu_seconds(worker) for worker in workers) - before
    starts = sorted(call["arrived_seconds"] for call in running.simulator.control.calls())
    rate = (len(starts) - 1) / (starts[-1] - starts[0])
    name = f"{processes} processes"
    return {
        f"{name}: starts a second": rate,
        f"{name}: share of the paced rate": rate / wanted,
        f"{name}: answers 429": float(running.simulator.control.stats()["rate_limited"]),
        f"{name}: CPU ms a job, all": 1000 * cpu / jobs,
    }


if __name__ == "__main__":
    main()
