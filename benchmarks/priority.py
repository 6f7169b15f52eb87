"""Priority: 2,000 low jobs are queued at 600 a minute; 20 high jobs that come later must start next.

    python benchmarks/priority.py

The wait of a high job is from its enqueueing to its arrival at the provider, in pace intervals and milliseconds.
"""

import random
import time

from harness import MODEL, Setup, World, report, wait_until, world

from imagequeue.config.job import Job

PER_MINUTE = 600
FRACTION = 0.9
HIGH_JOBS = 20


def main() -> None:
    with world(Setup(images_per_minute=PER_MINUTE, latency_seconds=0.5, pace_fraction=FRACTION)) as running:
        report("priority, 2,000 low jobs waiting", run(running))


def run(running: World) -> dict[str, float]:
    chance = random.Random(1)  # noqa: S311 - arrival times, not secrets
    running.enqueue([Job(prompt=f"low {i}", model=MODEL, priority="low") for i in range(2000)])
    running.start_worker()
    wait_until(lambda: running.simulator.control.stats()["calls"] >= 10, "the first calls")
    sent: dict[str, float] = {}
    for i in range(HIGH_JOBS):
        time.sleep(chance.uniform(0.3, 0.9))
        before = time.monotonic()
        (job_id,) = running.enqueue([Job(prompt=f"high {i}", model=MODEL, priority="high")])
        sent[job_id] = before
    wait_until(lambda: len(_arrivals(running, sent)) == HIGH_JOBS, "the high jobs' calls", 120)
    arrived = _arrivals(running, sent)
    waits = sorted(arrived[job_id] - sent[job_id] for job_id in sent)
    interval = 60 / (PER_MINUTE * FRACTION)
    return {
        "pace interval ms": 1000 * interval,
        "high wait ms, median": 1000 * waits[len(waits) // 2],
        "high wait ms, worst of 20": 1000 * waits[-1],
        "allowed ms: two intervals + 100": 1000 * 2 * interval + 100,
        "answers 429": float(running.simulator.control.stats()["rate_limited"]),
    }


def _arrivals(running: World, wanted: dict[str, float]) -> dict[str, float]:
    """Return when the calls of the wanted jobs arrived. The simulator runs on this machine: one monotonic clock."""
    found = {}
    for call in running.simulator.control.calls():
        job_id = str(call["client_request_id"]).rpartition("-")[0]
        if job_id in wanted:
            found[job_id] = float(call["arrived_seconds"])
    return found


if __name__ == "__main__":
    main()
