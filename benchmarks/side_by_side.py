"""The same work through other queues: pace, refusals, CPU, memory, a high job's wait, and what kill -9 costs each.

    python benchmarks/side_by_side.py [--only ours rq arq streaq bullmq] [--jobs 3000] [--kills 10]

Each contender is set up as its own documentation says, at the versions of benchmarks/contenders/ (installed into
.venv/side-by-side and contenders/node_modules at the first run), with one worker process. The others make the call and
keep nothing; imagequeue also checks and stores the image and writes its ledger.
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from harness import MODEL, Setup, World, machine, world

from imagequeue.config.job import Job

ROOT = Path(__file__).parents[1]
CONTENDERS = Path(__file__).parent / "contenders"
VENV = ROOT / ".venv" / "side-by-side"
SOURCE_ONLY = "crontab"
"""What is published as source alone; streaq needs it."""
DONE = "contest:done"
PER_MINUTE = 10_000
FRACTION = 0.9
"""Share of the limit that is asked of every contender that can be told a rate."""
LATENCY_SECONDS = 5.0
CONCURRENCY = 2500
PACE_SECONDS_MAX = 60.0
HIGH_JOBS = 5
HIGH_AFTER_SECONDS = 6.0
KILL_JOBS = 400
KILL_LATENCY_SECONDS = 0.2
KILL_EVERY_SECONDS = 0.8
QUIET_SECONDS_MAX = 150.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One queue: how its worker is started, how jobs are put on it, and which of them are done."""

    name: str
    worker: Sequence[str]
    enqueue: Callable[[World, dict[str, str], str, int, str], None]
    done: Callable[[World], int]
    high_done: Callable[[World], int]
    versions: Callable[[], str]


def others_done(running: World) -> int:
    """Return how many jobs the others' workers say are done."""
    return int(running.redis().scard(DONE))


def others_high_done(running: World) -> int:
    """Return how many of the high jobs are done."""
    return sum(running.redis().smismember(DONE, [f"high{i}" for i in range(HIGH_JOBS)]))


def ours_high_done(running: World) -> int:
    """Return how many of our high jobs are done."""
    return int(running.redis().zcard(f"rq:finished:{MODEL}.high"))


def enqueue_ours(running: World, _environ: dict[str, str], prefix: str, count: int, priority: str) -> None:
    """Put jobs on our queues."""
    running.enqueue(
        [Job.model_validate({"prompt": f"{prefix}{i}", "model": MODEL, "priority": priority}) for i in range(count)]
    )


def enqueue_by(*command: str) -> Callable[[World, dict[str, str], str, int, str], None]:
    """Return how a contender's own program puts jobs on its queue."""

    def enqueue(_running: World, environ: dict[str, str], prefix: str, count: int, priority: str) -> None:
        asked = [*command, "enqueue", prefix, str(count), priority]
        subprocess.run(asked, env=environ, cwd=CONTENDERS, check=True, timeout=120)

    return enqueue


def package(*names: str) -> Callable[[], str]:
    """Return how to ask the contenders' environment for versions."""

    def versions() -> str:
        code = "import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
        return subprocess.check_output([str(VENV / "bin" / "python"), "-c", code, *names], text=True).strip()

    return versions


def bullmq_versions() -> str:
    """Return BullMQ's and Node's version."""
    code = "console.log(`bullmq ${require('bullmq/package.json').version}, node ${process.versions.node}`)"
    return subprocess.check_output(["node", "-e", code], text=True, cwd=CONTENDERS).strip()


def contenders() -> dict[str, Contender]:
    """Return every contender by its short name."""
    rq = ("worker", "high", "default", "low", "--serializer", "json", "--quiet")
    ours = Contender(
        name="imagequeue",
        worker=(sys.executable, "-m", "imagequeue.worker"),
        enqueue=enqueue_ours,
        done=World.finished,
        high_done=ours_high_done,
        versions=lambda: "this checkout",
    )
    return {
        "ours": ours,
        "rq": python_queue("RQ's own worker", "with_rq.py", rq, "rq"),
        "arq": python_queue("arq", "with_arq.py", ("with_arq.WorkerSettings",), "arq", "aiohttp"),
        "streaq": python_queue("streaq", "with_streaq.py", ("run", "with_streaq:worker"), "streaq", "aiohttp"),
        "bullmq": other("BullMQ", ("node", "with_bullmq.mjs", "work"), ("node", "with_bullmq.mjs"), bullmq_versions),
    }


def python_queue(name: str, program: str, worker: Sequence[str], tool: str, *libraries: str) -> Contender:
    """Return a contender whose worker is the command `tool` of the contenders' environment."""
    bin_folder = VENV / "bin"
    enqueued_by = (str(bin_folder / "python"), program)
    return other(name, (str(bin_folder / tool), *worker), enqueued_by, package(tool, *libraries))


def other(name: str, worker: Sequence[str], program: Sequence[str], versions: Callable[[], str]) -> Contender:
    """Return a contender that puts jobs on its queue by `program` and notes what is done in one Redis set."""
    return Contender(
        name=name,
        worker=worker,
        enqueue=enqueue_by(*program),
        done=others_done,
        high_done=others_high_done,
        versions=versions,
    )


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--only", nargs="+", default=["ours", "rq", "arq", "streaq", "bullmq"])
    options.add_argument("--jobs", type=int, default=3000)
    options.add_argument("--kills", type=int, default=10)
    chosen = options.parse_args()
    install()
    entered = contenders()
    if not shutil.which("node"):
        entered.pop("bullmq")
        print("no node here: BullMQ is left out")
    print(f"side by side ({machine()}); limit {PER_MINUTE} images a minute, calls of {LATENCY_SECONDS:g} s")
    for name in chosen.only:
        if name in entered:
            compare(entered[name], chosen.jobs, chosen.kills)


def install() -> None:
    """Install the contenders at their pinned versions, once."""
    if not (VENV / "bin" / "arq").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [
            str(VENV / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--no-binary",
            SOURCE_ONLY,
        ]
        subprocess.run([*pip, "-r", str(CONTENDERS / "requirements.txt")], check=True)
    if shutil.which("npm") and not (CONTENDERS / "node_modules" / "bullmq").exists():
        subprocess.run(["npm", "ci", "--silent", "--prefix", str(CONTENDERS)], check=True)


def compare(contender: Contender, jobs: int, kills: int) -> None:
    """Print one contender's figures."""
    print(f"{contender.name} ({contender.versions()})")
    for name, value in (pace(contender, jobs) | killed(contender, kills)).items():
        print(f"  {name:<46} {value:.3f}" if isinstance(value, float) else f"  {name:<46} {value}")


def pace(contender: Contender, jobs: int) -> dict[str, object]:
    """Run a deep queue of low jobs against the limit, with a few high jobs put in on the way."""
    setup = Setup(images_per_minute=PER_MINUTE, latency_seconds=LATENCY_SECONDS, pace_fraction=FRACTION)
    with world(setup) as running:
        environ = contest_environ(running, rate=PER_MINUTE / 60 * FRACTION)
        contender.enqueue(running, environ, "low", jobs, "low")
        with worker_of(contender, environ) as process:
            started = time.monotonic()
            wait(lambda: bool(running.simulator.control.stats()["calls"]), 30)
            time.sleep(HIGH_AFTER_SECONDS)
            asked = time.monotonic()
            contender.enqueue(running, environ, "high", HIGH_JOBS, "high")
            left = PACE_SECONDS_MAX - (time.monotonic() - started)
            wait(lambda: contender.high_done(running) == HIGH_JOBS, left)
            high = time.monotonic() - asked - LATENCY_SECONDS if contender.high_done(running) == HIGH_JOBS else None
            wait(lambda: contender.done(running) >= jobs + HIGH_JOBS, PACE_SECONDS_MAX - (time.monotonic() - started))
            cpu, peak = used(process)
            return pace_figures(running, contender, cpu=cpu, peak=peak, high_seconds=high)


def pace_figures(
    running: World, contender: Contender, *, cpu: float, peak: float, high_seconds: float | None
) -> dict[str, object]:
    """Return what the provider saw and what it cost."""
    stats = running.simulator.control.stats()
    calls = [call["arrived_seconds"] for call in running.simulator.control.calls() if call["accepted"]]
    done = contender.done(running)
    rate = (len(calls) - 1) / (calls[-1] - calls[0]) if len(calls) > 1 else 0.0
    return {
        "accepted calls a second": rate,
        "share of the limit": rate / (PER_MINUTE / 60),
        "answers 429": stats["rate_limited"],
        "jobs done": done,
        "worker CPU ms a job done": 1000 * cpu / done if done else None,
        "peak memory MB": peak,
        "five high jobs, seconds until the last is sent": high_seconds if high_seconds is not None else "over a minute",
    }


def killed(contender: Contender, kills: int) -> dict[str, object]:
    """Kill the worker again and again, let the last one finish, and count."""
    with world(Setup(images_per_minute=None, latency_seconds=KILL_LATENCY_SECONDS)) as running:
        environ = contest_environ(running, rate=0)
        contender.enqueue(running, environ, "kill", KILL_JOBS, "default")
        for _ in range(kills):
            with worker_of(contender, environ) as process:
                before = len(running.simulator.control.calls())
                wait(lambda before=before: len(running.simulator.control.calls()) > before, 20)
                time.sleep(KILL_EVERY_SECONDS - KILL_LATENCY_SECONDS)
                kill(process)
        with worker_of(contender, environ):
            quiet_since = time.monotonic()
            wait(lambda: contender.done(running) >= KILL_JOBS, QUIET_SECONDS_MAX)
            seconds = time.monotonic() - quiet_since
        done = contender.done(running)
        calls = Counter(call["client_request_id"] for call in running.simulator.control.calls())
        return {
            f"after {kills} kills: not done": KILL_JOBS - done,
            f"after {kills} kills: calls for {KILL_JOBS} jobs": sum(calls.values()),
            f"after {kills} kills: seconds to the last job": seconds if done >= KILL_JOBS else f"over {seconds:.0f}",
        }


def contest_environ(running: World, *, rate: float) -> dict[str, str]:
    """Return what the contenders' programs read, over what our worker reads."""
    org = running.simulator.config.orgs[0]
    return running.environ | {
        "CONTEST_REDIS_URL": running.url,
        "RQ_REDIS_URL": running.url,
        "CONTEST_BASE_URL": running.simulator.base_url,
        "CONTEST_API_KEY": org.api_key,
        "CONTEST_CONCURRENCY": str(CONCURRENCY),
        "CONTEST_RATE": str(rate),
        "PYTHONPATH": str(CONTENDERS),
    }


@contextlib.contextmanager
def worker_of(contender: Contender, environ: dict[str, str]) -> Iterator[psutil.Process]:
    """Run a contender's worker for the length of a block; what is left of it is killed."""
    started = subprocess.Popen(
        contender.worker, env=environ, cwd=CONTENDERS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    process = psutil.Process(started.pid)
    try:
        yield process
    finally:
        kill(process)
        started.wait(30)


def kill(process: psutil.Process) -> None:
    """Kill -9 a process and its children."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def used(process: psutil.Process) -> tuple[float, float]:
    """Return CPU seconds and memory of a process with its children, also those that ended."""
    times = process.cpu_times()
    cpu = times.user + times.system + times.children_user + times.children_system
    memory = process.memory_info().rss
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            cpu += sum(child.cpu_times()[:2])
            memory += child.memory_info().rss
    return cpu, memory / 1_000_000


def wait(condition: Callable[[], bool], seconds: float) -> None:
    """Return when the condition holds or the time is over."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
