"""A storm of 429: for a minute every call is refused; how many probes are sent, and how soon the pace is back.

python benchmarks/storm.py [--seconds 60] [--processes 1]
"""

import argparse
import time

from harness import MODEL, Setup, World, report, wait_until, world

from imagequeue.config.job import Job
from imagequeue.simulator.faults import Fault

PER_MINUTE = 6_000
FRACTION = 0.9
RETRY_AFTER_SECONDS = 5


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--processes", type=int, default=1)
    chosen = options.parse_args()
    with world(Setup(images_per_minute=PER_MINUTE, latency_seconds=0.5, pace_fraction=FRACTION)) as running:
        report("a storm of 429", run(running, chosen.seconds, chosen.processes))


def run(running: World, seconds: float, processes: int) -> dict[str, float]:
    pace = PER_MINUTE * FRACTION / 60
    jobs = int(pace * 40)
    for _ in range(processes):
        running.start_worker()
    running.enqueue([Job(prompt=f"picture {i}", model=MODEL, max_attempts=1) for i in range(jobs)])
    wait_until(lambda: running.simulator.control.stats()["calls"] > pace * 5, "five seconds at pace")
    running.simulator.control.set_faults(Fault(kind="rate_limit", retry_after_seconds=RETRY_AFTER_SECONDS))
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > seconds, "the storm to pass", seconds + 10)
    running.simulator.control.set_faults()
    ended = time.monotonic()
    wait_until(lambda: running.ended() >= jobs, "all jobs to end")
    calls = running.simulator.control.calls()
    refused = [call["arrived_seconds"] for call in calls if call["status"] == 429]
    probes = [at for at in refused if at > begun + 1]
    accepted = sorted(call["arrived_seconds"] for call in calls if call["accepted"] and call["arrived_seconds"] > ended)
    return {
        "storm seconds": seconds,
        "processes": float(processes),
        "refused at its beginning": float(len(refused) - len(probes)),
        "probes after that": float(len(probes)),
        "allowed: one for each retry-after": seconds / RETRY_AFTER_SECONDS,
        "seconds until 95 % of the pace after its end": _back_at_pace(accepted, ended, pace * 0.95),
        "jobs with a burnt attempt, failed or lost": float(jobs - running.finished()),
    }


def _back_at_pace(accepted: list[float], ended: float, wanted: float) -> float:
    """Return when the first second began that had the wanted rate."""
    for at in accepted:
        if sum(at <= other < at + 1 for other in accepted) >= wanted:
            return at - ended
    return float("inf")


if __name__ == "__main__":
    main()
