"""An idle worker: the CPU it uses, and how soon a job that arrives starts.

    python benchmarks/idle.py [--seconds 20]

The start is the call's arrival at the provider; jobs come from our own client, and from RQ's own, which tells nobody.
"""

import argparse
import asyncio
import random
import time

from harness import MODEL, Setup, World, cpu_seconds, report, wait_until, world
from rq import Queue

from imagequeue.config.job import FUNCTION_NAME, Job
from imagequeue.queue.connection import connect
from imagequeue.queue.entries import Entry, enqueue, new_job_id
from imagequeue.queue.scripts import Scripts

TRIALS = 20


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=20.0)
    chosen = options.parse_args()
    with world(Setup(images_per_minute=10_000, latency_seconds=0.1)) as running:
        worker = running.start_worker()
        time.sleep(2)
        before = cpu_seconds(worker)
        time.sleep(chosen.seconds)
        figures = {"CPU of an idle worker, percent of a core": 100 * (cpu_seconds(worker) - before) / chosen.seconds}
        figures |= _starts("our client", running, asyncio.run(_own(running)))
        figures |= _starts("RQ's client", running, _foreign(running))
    report("idle worker", figures)


async def _own(running: World) -> dict[str, float]:
    redis = connect(running.url)
    scripts, sent = Scripts(redis, running.settings.keys), {}
    chance = random.Random(2)  # noqa: S311 - arrival times, not secrets
    for i in range(TRIALS + 1):
        await asyncio.sleep(chance.uniform(0.2, 0.4))
        job = Job(prompt=f"own {i}", model=MODEL)
        entry = Entry(id=new_job_id(job), job=job)
        sent[entry.id] = time.monotonic()
        await enqueue(scripts, [entry], result_ttl_seconds=3600, timeout_seconds=300)
    await redis.aclose()
    del sent[next(iter(sent))]  # the first call also opens connections
    return sent


def _foreign(running: World) -> dict[str, float]:
    queue, sent = Queue(f"{MODEL}.default", connection=running.redis(), serializer="json"), {}
    chance = random.Random(3)  # noqa: S311 - arrival times, not secrets
    for i in range(TRIALS):
        time.sleep(chance.uniform(0.2, 0.4))
        before = time.monotonic()
        sent[queue.enqueue(FUNCTION_NAME, {"prompt": f"foreign {i}"}).id] = before
    return sent


def _starts(who: str, running: World, sent: dict[str, float]) -> dict[str, float]:
    def arrivals() -> dict[str, float]:
        calls = running.simulator.control.calls()
        return {str(call["client_request_id"]).rpartition("-")[0]: float(call["arrived_seconds"]) for call in calls}

    wait_until(lambda: sent.keys() <= arrivals().keys(), "the calls to arrive", 30)
    waits = sorted(arrivals()[job_id] - at for job_id, at in sent.items())
    return {f"{who}: start ms, median": 1000 * waits[len(waits) // 2], f"{who}: start ms, worst": 1000 * waits[-1]}


if __name__ == "__main__":
    main()
