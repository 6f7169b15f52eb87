"""The same killing done to RQ's own workers, to show what the harness can find: jobs lost, and jobs run twice."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from ready_process import forking
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

QUEUES: Final = ("stock.high", "stock.default", "stock.low")
WORKERS: Final = 3
CALM_SECONDS: Final = (0.0, 0.03)
BACKLOG: Final = 30
ROUNDS_MAX: Final = 5
REST_SECONDS_MAX: Final = 40.0
PORT_VARIABLE: Final = "SOAK_STOCK_PORT"
AT_WORK: Final = "at-work"


@dataclass(frozen=True, kw_only=True)
class StockReport:
    """What became of the jobs. `lost`: not ended, and in no list or registry."""

    kills: int
    jobs: int
    lost: int
    run_twice: int


def work(name: str) -> None:
    """Count a run of a job, as a provider's bill would, say who is at work, and take 3 ms for it."""
    with Redis(port=int(os.environ[PORT_VARIABLE])) as client:
        client.hincrby("ran", name)
        client.sadd(AT_WORK, os.getpid())
    time.sleep(0.003)


def be_stock_worker(port: int) -> None:
    """Be RQ's own worker on three queues, until the queues are empty or something kills it."""
    os.environ[PORT_VARIABLE] = str(port)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    queues = [Queue(name, connection=Redis(port=port), serializer="json") for name in QUEUES]
    worker = SimpleWorker(queues, connection=queues[0].connection, serializer=JSONSerializer)
    while True:
        worker.work(burst=True, logging_level="CRITICAL")
        time.sleep(0.01)


def stock_soak(port: int, *, kills: int, seed: int) -> StockReport:
    """Kill RQ's workers at random, each while it works and has more to do, then let RQ recover what it can."""
    dice = Random(seed)  # noqa: S311  # dice
    client: Any = Redis(port=port)
    queues = [Queue(name, connection=client, serializer="json") for name in QUEUES]
    context = forking()

    def start() -> Any:
        process = context.Process(target=be_stock_worker, args=(port,), daemon=True)
        process.start()
        return process

    workers = [start() for _ in range(WORKERS)]
    ids: list[str] = []
    for kill in range(kills):
        number = kill % WORKERS  # the one that has been at work the longest
        for _ in range(BACKLOG - sum(queue.count for queue in queues)):
            name = f"stock-{len(ids)}"
            dice.choice(queues).enqueue("soak_stock.work", name, job_id=name, retry=Retry(max=50))
            ids.append(name)
        pid = workers[number].pid
        _until(lambda pid=pid: client.sismember(AT_WORK, pid))
        time.sleep(dice.uniform(*CALM_SECONDS))
        os.kill(pid, signal.SIGKILL)
        workers[number].join()
        workers[number] = start()
    try:
        _recover(client, queues)
    finally:
        for process in workers:
            process.kill()
            process.join()
    report = _report(client, queues, ids, kills)
    client.close()
    return report


def _recover(client: Any, queues: list[Queue]) -> None:
    """Let every lease of the dead run out and RQ's own cleaning bring back what it finds, several times over."""
    for _ in range(ROUNDS_MAX):
        _until(lambda: all(queue.count == 0 for queue in queues))
        time.sleep(0.15)  # what was just popped is run
        for queue in queues:
            registry = StartedJobRegistry(queue=queue)
            for member in client.zrange(registry.key, 0, -1):
                client.zadd(registry.key, {member: 1})
            registry.cleanup()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + REST_SECONDS_MAX
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def _report(client: Any, queues: list[Queue], ids: list[str], kills: int) -> StockReport:
    placed: set[str] = set()
    for queue in queues:
        placed |= set(queue.get_job_ids())
        registries = (queue.finished_job_registry, queue.failed_job_registry, queue.scheduled_job_registry)
        for registry in (*registries, queue.started_job_registry):
            placed |= set(registry.get_job_ids(cleanup=False))
    ran = client.hgetall("ran")
    return StockReport(
        kills=kills,
        jobs=len(ids),
        lost=len(set(ids) - placed),
        run_twice=sum(int(count) > 1 for count in ran.values()),
    )
