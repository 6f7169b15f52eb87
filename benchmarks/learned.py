"""A limit below the published one: how much of it is used, and how many calls are refused, once it is learned.

    python benchmarks/learned.py [--share 0.6] [--seconds 180] [--per-minute 600]

The headers of answers name the published limit, so that only refusals tell of the true one. The first minute is left
out: it is spent on finding it.
"""

import argparse
import time

from harness import MODEL, Setup, World, report, wait_until, world

from imagequeue.config.job import Job

LEARNING_SECONDS = 60.0
FRACTION = 0.9


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--share", type=float, default=0.6)
    options.add_argument("--seconds", type=float, default=180.0)
    options.add_argument("--per-minute", type=float, default=600.0)
    chosen = options.parse_args()
    setup = Setup(
        images_per_minute=chosen.per_minute,
        true_share=chosen.share,
        latency_seconds=0.5,
        bucket_seconds=1.0,
        pace_fraction=FRACTION,
    )
    with world(setup) as running:
        report("a limit below the published one", run(running, setup, chosen.seconds))


def run(running: World, setup: Setup, seconds: float) -> dict[str, float]:
    per_second = (setup.images_per_minute or 0.0) / 60
    true_per_second = per_second * setup.true_share
    running.enqueue([Job(prompt=f"picture {i}", model=MODEL) for i in range(int(true_per_second * seconds * 1.2))])
    running.start_worker()
    wait_until(lambda: running.simulator.control.stats()["calls"] > 0, "the first call")
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > seconds, "the run to end", seconds + 10)
    calls = [call for call in running.simulator.control.calls() if call["arrived_seconds"] >= begun + LEARNING_SECONDS]
    refused = sum(call["status"] == 429 for call in calls)
    accepted = sum(bool(call["accepted"]) for call in calls)
    return {
        "published, images a minute": setup.images_per_minute or 0.0,
        "true, images a minute": true_per_second * 60,
        "measured seconds, after the first minute": seconds - LEARNING_SECONDS,
        "accepted calls, share of the true limit": accepted / ((seconds - LEARNING_SECONDS) * true_per_second),
        "answers 429, share of the calls": refused / max(len(calls), 1),
    }


if __name__ == "__main__":
    main()
