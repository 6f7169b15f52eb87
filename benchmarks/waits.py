"""How true `waiting.until` is: jobs at several depths and priorities are asked about, and their real starts compared.

    python benchmarks/waits.py [--arrivals]

A queue of three priorities and two tenants drains at a steady pace. With --arrivals high jobs keep coming at a third of
the pace, so that lower ones wait for jobs that are not there yet when they are asked about.
"""

import argparse
import asyncio
import random
import time
from dataclasses import dataclass

from harness import MODEL, Setup, World, report, wait_until, world

from imagequeue.config.catalog import load_catalog
from imagequeue.config.job import PRIORITIES, Job
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.connection import connect
from imagequeue.queue.reading import JobReader
from imagequeue.queue.scripts import Scripts

PER_MINUTE = 3_000
FRACTION = 0.9
JOBS = {"high": 300, "default": 700, "low": 300}
SAMPLES_PER_PRIORITY = 20
WAIT_SECONDS_MIN = 1.0
"""Of shorter waits a fifth is less than a look takes."""
ARRIVAL_SHARE = 1 / 3
ASK_AT_SECONDS = (8.0, 16.0)
RUN_SECONDS_MAX = 110.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A job, when it was asked about (monotonic), and the wait it was told in seconds."""

    job_id: str
    priority: str
    at: float
    told: float


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--arrivals", action="store_true")
    chosen = options.parse_args()
    with world(Setup(images_per_minute=PER_MINUTE, latency_seconds=0.5, pace_fraction=FRACTION)) as running:
        report(f"waits told against waits, arrivals: {chosen.arrivals}", run(running, arrivals=chosen.arrivals))


def run(running: World, *, arrivals: bool) -> dict[str, object]:
    """Fill the queues, ask about jobs at two moments, and compare once they have started."""
    chance = random.Random(1)  # noqa: S311 - which jobs are asked about, not secrets
    ids = {priority: running.enqueue([_job(priority, number) for number in range(JOBS[priority])]) for priority in JOBS}
    running.start_worker()
    begun = time.monotonic()
    asked: list[Asked] = []
    for moment in ASK_AT_SECONDS:
        _pass_time(running, begun + moment, arrivals=arrivals)
        sampled = [(priority, chance.sample(ids[priority], SAMPLES_PER_PRIORITY)) for priority in PRIORITIES]
        asked += asyncio.run(_ask(running, sampled))
    while running.redis().llen(f"rq:queue:{MODEL}.low") and time.monotonic() < begun + RUN_SECONDS_MAX:
        _pass_time(running, time.monotonic() + 1, arrivals=arrivals and time.monotonic() < begun + 40)
    wanted = {one.job_id for one in asked}
    wait_until(lambda: _starts(running, asked).keys() >= wanted, "the jobs asked about", 60)
    return _compare(asked, _starts(running, asked))


def _job(priority: str, number: int) -> Job:
    return Job(prompt=f"{priority} {number}", model=MODEL, priority=priority, tenant="ab"[number % 3 == 0])  # type: ignore[arg-type]  # one of the three


def _pass_time(running: World, until: float, *, arrivals: bool) -> None:
    """Wait; meanwhile let high jobs come at an even rate."""
    per_second = PER_MINUTE * FRACTION / 60 * ARRIVAL_SHARE
    while (left := until - time.monotonic()) > 0:
        step = min(left, 0.5)
        if arrivals:
            running.enqueue([_job("high", number) for number in range(round(per_second * step))])
        time.sleep(step)


async def _ask(running: World, sampled: list[tuple[str, list[str]]]) -> list[Asked]:
    redis = connect(running.url)
    ledger = await Ledger.open(running.settings.ledger_url.get_secret_value())
    reader = JobReader(Scripts(redis, running.settings.keys), ledger, running.settings, load_catalog())
    found = []
    for priority, ids in sampled:
        views = await reader.views(ids)
        at, now = time.monotonic(), time.time()
        for job_id, view in views.items():
            if view.status == "queued" and view.waiting and view.waiting.until:
                told = view.waiting.until.timestamp() - now
                found.append(Asked(job_id=job_id, priority=priority, at=at, told=told))
    await ledger.aclose()
    await redis.aclose()
    return found


def _starts(running: World, asked: list[Asked]) -> dict[str, float]:
    """Return when the calls of the jobs arrived. The simulator runs on this machine: one monotonic clock."""
    wanted = {one.job_id for one in asked}
    found = {}
    for call in running.simulator.control.calls():
        job_id = str(call["client_request_id"]).rpartition("-")[0]
        if job_id in wanted:
            found[job_id] = float(call["arrived_seconds"])
    return found


def _compare(asked: list[Asked], started: dict[str, float]) -> dict[str, object]:
    figures: dict[str, object] = {}
    every: list[float] = []
    for priority in PRIORITIES:
        errors = sorted(
            abs(one.told - (started[one.job_id] - one.at)) / (started[one.job_id] - one.at)
            for one in asked
            if one.priority == priority and started[one.job_id] - one.at >= WAIT_SECONDS_MIN
        )
        every += errors
        if errors:
            figures[f"{priority}: asked, error p50, p90"] = (
                f"{len(errors)}, {_share(errors, 0.5):.1%}, {_share(errors, 0.9):.1%}"
            )
    every.sort()
    figures["all: asked"] = len(every)
    for part in (0.5, 0.9, 1.0):
        figures[f"all: error p{part * 100:.0f}"] = f"{_share(every, part):.1%}"
    figures["allowed: p90"] = "20.0%"
    return figures


def _share(ordered: list[float], part: float) -> float:
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


if __name__ == "__main__":
    main()
