"""`kill -9` of the worker in the middle of a pace run at Tier 5: nothing lost, nothing settled twice, recovery time.

    python benchmarks/kill.py [--jobs 3000]

A second worker is started at once, as a supervisor would. Recovery is from the kill to the moment when the dead
worker's claims are back in line.
"""

import argparse
import asyncio
import collections
import os
import signal
import time

from harness import MODEL, Setup, World, report, wait_until, world

from imagequeue.config.job import Job
from imagequeue.ledger.ledger import Ledger

PER_MINUTE = 10_000
FRACTION = 0.9


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--jobs", type=int, default=3000)
    options.add_argument("--latency", type=float, default=5.0)
    chosen = options.parse_args()
    setup = Setup(
        images_per_minute=PER_MINUTE, latency_seconds=chosen.latency, pace_fraction=FRACTION, lease_seconds=15
    )
    with world(setup) as running:
        report("kill -9 in the middle of a pace run", run(running, chosen.jobs, setup.lease_seconds))


def run(running: World, jobs: int, lease_seconds: float) -> dict[str, float]:
    victim = running.start_worker()
    ids = running.enqueue([Job(prompt=f"picture {i}", model=MODEL) for i in range(jobs)])
    wait_until(lambda: running.finished() >= jobs // 3, "a third of the jobs")
    redis = running.redis()
    (claims_key,) = redis.keys("imagequeue:claims:*")
    in_flight = redis.hlen(claims_key)
    os.kill(victim.pid, signal.SIGKILL)
    killed = time.monotonic()
    running.start_worker()
    wait_until(lambda: not redis.exists(claims_key), "the claims of the dead worker to be taken over", 60)
    recovery = time.monotonic() - killed
    wait_until(lambda: running.finished() >= jobs, "all jobs to finish")
    return {
        "jobs": float(jobs),
        "in flight when killed": float(in_flight),
        "recovery seconds": recovery,
        "allowed: lease + 2": lease_seconds + 2,
        **asyncio.run(_ledger(running, ids)),
        "answers 429": float(running.simulator.control.stats()["rate_limited"]),
    }


async def _ledger(running: World, ids: list[str]) -> dict[str, float]:
    ledger = await Ledger.open(running.settings.ledger_url.get_secret_value())
    outcomes, attempts = await ledger.outcomes(ids), await ledger.attempts(ids)
    await ledger.aclose()
    states = [collections.Counter(row.state for row in rows) for rows in attempts.values()]
    return {
        "lost": float(len(ids) - sum(outcome.status == "succeeded" for outcome in outcomes.values())),
        "settled twice": float(sum(state["settled"] > 1 for state in states)),
        "in doubt": float(sum(state["in_doubt"] for state in states)),
        "calls": float(running.simulator.control.stats()["calls"]),
        "settled": float(sum(state["settled"] for state in states)),
    }


if __name__ == "__main__":
    main()
