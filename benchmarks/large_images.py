"""Large images: answers of 1.5 MB at 40 a second through one worker process, stored and booked.

    python benchmarks/large_images.py [--jobs 800]

It falls behind when the last jobs end much later than their calls do.
"""

import argparse
import time

from harness import MODEL, Setup, World, cpu_seconds, peak_megabytes, report, wait_until, world

from imagequeue.config.job import Job

PER_SECOND = 40
LATENCY_SECONDS = 2.0
FRACTION = 0.9


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--jobs", type=int, default=800)
    chosen = options.parse_args()
    setup = Setup(
        images_per_minute=PER_SECOND * 60 / FRACTION,
        latency_seconds=LATENCY_SECONDS,
        image_bytes=1_500_000,
        pace_fraction=FRACTION,
    )
    with world(setup) as running:
        report("large images, 1.5 MB each", run(running, chosen.jobs))


def run(running: World, jobs: int) -> dict[str, float]:
    worker = running.start_worker()
    cpu_before = cpu_seconds(worker)
    running.enqueue([Job(prompt=f"picture {i}", model=MODEL) for i in range(jobs)])
    wait_until(lambda: running.finished() >= jobs, "all jobs to finish")
    ended = time.monotonic()
    cpu = cpu_seconds(worker) - cpu_before
    starts = sorted(call["arrived_seconds"] for call in running.simulator.control.calls())
    return {
        "starts a second": (jobs - 1) / (starts[-1] - starts[0]),
        "share of the paced rate": (jobs - 1) / (starts[-1] - starts[0]) / PER_SECOND,
        "seconds from last start to last job done": ended - starts[-1],
        "of which the call itself": LATENCY_SECONDS,
        "worker CPU ms a job": 1000 * cpu / jobs,
        "worker peak memory MB": peak_megabytes(worker.pid),
    }


if __name__ == "__main__":
    main()
