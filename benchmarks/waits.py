"""How true `waiting.until` is: jobs are asked about while the queue is steady, and their real starts compared.

    python benchmarks/waits.py [--case NAME ...]

Each case is a queue that drains through one worker at a steady pace: one tenant; three tenants of different weights;
three priorities, each of which keeps growing; two organizations; jobs of one to four images; a provider that allows 0.6
of what it publishes, which the worker has to learn. A wait is told well when it is within 20 % of the real one, or
within one second and the time that one job of the pool takes: nearer than that nobody can tell when a job starts.
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import Sequence
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
SAMPLES_PER_PRIORITY = 25
ALLOWED_SHARE, ALLOWED_SECONDS = 0.2, 1.0
STEP_SECONDS = 0.5
RUN_SECONDS_MAX = 150.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """What waits at first by priority, what share of the pace joins, and when is asked (seconds after the start)."""

    jobs: tuple[int, int, int]
    joins: tuple[float, float, float] = (0.0, 0.0, 0.0)
    weights: tuple[float, ...] = (1.0,)
    images: int = 1
    orgs: int = 1
    true_share: float = 1.0
    ask_at: tuple[float, ...] = (8.0, 16.0)


CASES = {
    "one tenant": Case(jobs=(0, 1_500, 0)),
    "three tenants, weights 1, 2, 4": Case(jobs=(0, 1_500, 0), weights=(1.0, 2.0, 4.0)),
    "three priorities, all growing": Case(
        jobs=(300, 500, 250), joins=(0.25, 0.1, 0.05), weights=(1.0, 2.0), ask_at=(16.0, 22.0)
    ),
    "two organizations": Case(jobs=(600, 1_600, 400), orgs=2, weights=(1.0, 2.0)),
    "jobs of 1 to 4 images": Case(jobs=(100, 400, 100), images=4, weights=(1.0, 2.0)),
    "0.6 of the published limit": Case(jobs=(300, 2_600, 0), true_share=0.6, ask_at=(45.0, 55.0)),
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A job, when it was asked about (monotonic), and the wait it was told in seconds."""

    job_id: str
    priority: str
    at: float
    told: float


class Load:
    """The jobs of one case: those that wait at first, and those that join."""

    def __init__(self, running: World, case: Case) -> None:
        self._running = running
        self._case = case
        self._chance = random.Random(1)  # noqa: S311 - which jobs are made and asked about, not secrets
        self._owed = [0.0, 0.0, 0.0]
        self.ids: dict[str, list[str]] = {}
        for priority, count in zip(PRIORITIES, case.jobs, strict=True):
            self.ids[priority] = running.enqueue([self._job(priority) for _ in range(count)])

    def _job(self, priority: str) -> Job:
        tenant = self._chance.choice("abc"[: len(self._case.weights)])
        n = self._chance.randint(1, self._case.images)
        return Job(prompt=f"{priority} {tenant}", model=_model(self._case), priority=priority, tenant=tenant, n=n)  # type: ignore[arg-type]  # one of the three

    def pass_time(self, until: float) -> None:
        """Wait; meanwhile let jobs join at an even rate."""
        while (left := until - time.monotonic()) > 0:
            step = min(left, STEP_SECONDS)
            time.sleep(step)
            self._join(step)

    def _join(self, seconds: float) -> None:
        jobs = []
        for index, (priority, share) in enumerate(zip(PRIORITIES, self._case.joins, strict=True)):
            self._owed[index] += share * PER_MINUTE / 60 * FRACTION * seconds
            jobs += [self._job(priority) for _ in range(int(self._owed[index]))]
            self._owed[index] %= 1
        if jobs:
            self._running.enqueue(jobs)

    def sample(self) -> dict[str, list[str]]:
        """Return some jobs of each priority."""
        return {
            priority: self._chance.sample(ids, min(SAMPLES_PER_PRIORITY, len(ids)))
            for priority, ids in self.ids.items()
        }


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--case", action="append", choices=CASES, help="may be given several times; all unless given")
    for name in options.parse_args().case or CASES:
        case = CASES[name]
        weights = dict(zip("abc", case.weights, strict=False))
        setup = Setup(
            images_per_minute=PER_MINUTE,
            latency_seconds=0.5,
            pace_fraction=FRACTION,
            orgs=case.orgs,
            true_share=case.true_share,
            model=_model(case),
            more_environ={"IMAGEQUEUE_TENANT_WEIGHTS": json.dumps(weights)},
        )
        with world(setup) as running:
            report(f"waits told against waits: {name}", run(running, case))


def _model(case: Case) -> str:
    return MODEL if case.images == 1 else "dall-e-2"


def run(running: World, case: Case) -> dict[str, object]:
    """Fill the queues, ask about jobs at some moments, and compare once they have started."""
    load = Load(running, case)
    running.start_worker()
    begun = time.monotonic()
    asked: list[Asked] = []
    for moment in case.ask_at:
        load.pass_time(begun + moment)
        asked += asyncio.run(_ask(running, load.sample()))
    wanted = {one.job_id for one in asked}
    while time.monotonic() < begun + RUN_SECONDS_MAX and not wanted <= _starts(running, wanted).keys():
        load.pass_time(time.monotonic() + 2 * STEP_SECONDS)
    wait_until(lambda: _starts(running, wanted).keys() >= wanted, "the jobs asked about", 10)
    interval = case.images * 60 / (PER_MINUTE * FRACTION * case.true_share)
    return _compare(asked, _starts(running, wanted), floor=ALLOWED_SECONDS + interval)


async def _ask(running: World, sampled: dict[str, list[str]]) -> list[Asked]:
    redis = connect(running.url)
    ledger = await Ledger.open(running.settings.ledger_url.get_secret_value())
    reader = JobReader(Scripts(redis, running.settings.keys), ledger, running.settings, load_catalog())
    found = []
    for priority, ids in sampled.items():
        views = await reader.views(ids)
        at, now = time.monotonic(), time.time()
        for job_id, view in views.items():
            if view.status == "queued" and view.waiting and view.waiting.until:
                told = view.waiting.until.timestamp() - now
                found.append(Asked(job_id=job_id, priority=priority, at=at, told=told))
    await ledger.aclose()
    await redis.aclose()
    return found


def _starts(running: World, wanted: set[str]) -> dict[str, float]:
    """Return when the last calls of the jobs arrived. The simulator runs on this machine: one monotonic clock."""
    found = {}
    for call in running.simulator.control.calls():
        job_id = str(call["client_request_id"]).rpartition("-")[0]
        if job_id in wanted:
            found[job_id] = float(call["arrived_seconds"])
    return found


def _compare(asked: Sequence[Asked], started: dict[str, float], *, floor: float) -> dict[str, object]:
    figures: dict[str, object] = {}
    for priority in (*PRIORITIES, "all"):
        told = [one for one in asked if priority in (one.priority, "all")]
        if told:
            figures[f"{priority}: asked; p50, p90, worst of long ones; worst; missed"] = _figures(told, started, floor)
    figures["allowed"] = f"20 % or {floor:.2f} s"
    return figures


def _figures(told: Sequence[Asked], started: dict[str, float], floor: float) -> str:
    """Errors as shares of the wait; one that is within the floor is no error."""
    waits = [(started[one.job_id] - one.at, one.told) for one in told]
    missed = sum(abs(said - real) > max(ALLOWED_SHARE * real, floor) for real, said in waits)
    shares = sorted(abs(said - real) / real if abs(said - real) > floor else 0.0 for real, said in waits)
    plain = sorted(abs(said - real) / real for real, said in waits if real >= floor / ALLOWED_SHARE)
    words = ", ".join(f"{_share(plain, part):.1%}" for part in (0.5, 0.9, 1.0)) if plain else "only short waits"
    return f"{len(waits)}; {words}; {shares[-1]:.1%}; {missed}"


def _share(ordered: list[float], part: float) -> float:
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


if __name__ == "__main__":
    main()
