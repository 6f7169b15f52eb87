"""Processes that stand still, again and again, while the pool runs at its pace: what they had in hand comes out late.

    python benchmarks/stalls.py [--victim all|worker|server] [--processes 8] [--orgs 2] [--jobs 4800] [--seed 1]

A victim is stopped (SIGSTOP) for 0.3 to 0.5 s about once a second: all workers at once, one of them, or the Redis
server. Printed are the answers 429, the depth of the smallest bucket at the ceiling that would have let all calls pass
(the provider's is 0.25 s), and the share of the pace with the share of the time that somebody stood still.
"""

import argparse
import os
import random
import signal
import threading
import time
from collections.abc import Sequence

import psutil
from harness import MODEL, PRIORITIES, Setup, World, report, server_process, wait_until, world

from imagequeue.config.job import Job

PER_MINUTE = 10_000.0
FRACTION = 0.9
STALL_SECONDS = (0.3, 0.5)
PAUSE_SECONDS = (0.7, 1.3)
STEADY_CALLS = 50
"""So many calls come before the first stall."""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--victim", choices=("all", "worker", "server"), default="all")
    options.add_argument("--processes", type=int, default=8)
    options.add_argument("--orgs", type=int, default=2)
    options.add_argument("--jobs", type=int, default=4800)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    setup = Setup(images_per_minute=PER_MINUTE, latency_seconds=2.0, pace_fraction=FRACTION, orgs=chosen.orgs)
    with world(setup) as running:
        workers = [running.start_worker() for _ in range(chosen.processes)]
        victims = [server_process(running)] if chosen.victim == "server" else workers
        chance = random.Random(chosen.seed)  # noqa: S311 - to be run again, not a secret
        stalls = Stalls(victims, chance, together=chosen.victim != "worker")
        running.enqueue([Job(prompt=f"p {i}", model=MODEL, priority=PRIORITIES[i % 3]) for i in range(chosen.jobs)])
        wait_until(lambda: _accepted(running) >= STEADY_CALLS, "the first calls")
        stalls.start()
        wait_until(lambda: _accepted(running) >= chosen.jobs, "all jobs to start")
        stalls.end()
        figures = _figures(running, chosen.orgs, stalls)
    report(f"{chosen.processes} processes, stalls of {chosen.victim}, seed {chosen.seed}", figures)


class Stalls(threading.Thread):
    """Stops processes now and then, until told to end."""

    def __init__(self, victims: Sequence[psutil.Process], chance: random.Random, *, together: bool) -> None:
        super().__init__()
        self._victims, self._chance, self._together = victims, chance, together
        self._over = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        """Stall again and again."""
        while not self._over.wait(self._chance.uniform(*PAUSE_SECONDS)):
            victims = self._victims if self._together else [self._chance.choice(self._victims)]
            self._stall(victims, self._chance.uniform(*STALL_SECONDS))

    def end(self) -> None:
        """Return when nobody is stopped any more."""
        self._over.set()
        self.join()

    def _stall(self, victims: Sequence[psutil.Process], seconds: float) -> None:
        for victim in victims:
            os.kill(victim.pid, signal.SIGSTOP)
        time.sleep(seconds)
        for victim in victims:
            os.kill(victim.pid, signal.SIGCONT)
        self.seconds.append(seconds)


def depth_seconds(starts: Sequence[float], rate: float) -> float:
    """Return the depth of the smallest bucket, filled at `rate` a second, that lets calls at these times pass."""
    full_at, deepest = 0.0, 0.0
    for start in sorted(starts):
        full_at = max(full_at, start) + 1 / rate
        deepest = max(deepest, full_at - start)
    return deepest


def _accepted(running: World) -> int:
    stats = running.simulator.control.stats()
    return int(stats["calls"]) - int(stats["rate_limited"])


def _figures(running: World, orgs: int, stalls: Stalls) -> dict[str, object]:
    by_org: dict[str, list[float]] = {}
    for call in running.simulator.control.calls():
        by_org.setdefault(call["org"], []).append(call["arrived_seconds"])
    starts = sorted(start for of_one in by_org.values() for start in of_one)
    seconds = starts[-1] - starts[0]
    return {
        "answers 429": running.simulator.control.stats()["rate_limited"],
        "depth of the bucket, seconds": max(depth_seconds(of_one, PER_MINUTE / 60) for of_one in by_org.values()),
        "share of the paced rate": (len(starts) - 1) / seconds / (PER_MINUTE * FRACTION * orgs / 60),
        "stalls": len(stalls.seconds),
        "share of the time somebody stood still": sum(stalls.seconds) / seconds,
    }


if __name__ == "__main__":
    main()
