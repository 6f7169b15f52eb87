"""A graceful stop with thousands of calls in flight: SIGTERM, and what became of every job.

    python benchmarks/stop.py [--calls 2000] [--latency 40]

Nothing may be lost or failed, and the worker must be gone before its drain's deadline.
"""

import argparse
import signal
import time

from harness import MODEL, Setup, World, report, wait_until, world

from imagequeue.config.job import Job

PER_MINUTE = 18_000
FRACTION = 0.9


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--calls", type=int, default=2_000)
    options.add_argument("--latency", type=float, default=40.0)
    chosen = options.parse_args()
    setup = Setup(images_per_minute=PER_MINUTE, latency_seconds=chosen.latency, pace_fraction=FRACTION)
    with world(setup) as running:
        report(f"graceful stop with {chosen.calls:,} calls in flight", run(running, chosen.calls))


def run(running: World, calls: int) -> dict[str, object]:
    """Fill the worker, tell it to stop, and count."""
    queued = calls + PER_MINUTE  # so that there is more to claim when it is told to stop
    running.enqueue([Job(prompt=f"picture {number}", model=MODEL) for number in range(queued)])
    running.start_worker("--max-in-flight", str(calls))
    wait_until(lambda: running.simulator.control.stats()["in_flight"] >= calls * 0.98, "the calls in flight", 120)
    in_flight = running.simulator.control.stats()["in_flight"]
    running.workers[0].send_signal(signal.SIGTERM)
    told = time.monotonic()
    code = running.workers[0].wait(running.settings.drain_seconds + 30)
    seconds = time.monotonic() - told
    redis = running.redis()
    places = {
        "finished": running.finished(),
        "queued": redis.llen(f"rq:queue:{MODEL}.default"),
        "failed": redis.zcard(f"rq:failed:{MODEL}.default"),
        "still claimed": redis.zcard(f"rq:wip:{MODEL}.default"),
        "waiting or parked": redis.zcard(f"rq:scheduled:{MODEL}.default") + redis.zcard(f"rq:deferred:{MODEL}.default"),
    }
    made = running.simulator.control.stats()["calls"]
    return {
        "in flight when told to stop": in_flight,
        "seconds until it was gone": seconds,
        "allowed: its drain": running.settings.drain_seconds,
        "exit code": code,
        **places,
        "lost": queued - sum(places.values()),
        "calls beyond one for each finished job": made - places["finished"],
    }


if __name__ == "__main__":
    main()
