"""The HTTP door's figures: jobs a second, their latency, bulk, and what the door adds to a call of the image API.

    python benchmarks/door.py [--only posts|bulk|images] [--seconds N] [--lines N] [--calls N]

One api process is pinned to the last core; what asks, and the Redis server, to the first. `wrk` asks where it is
present, else aiohttp. No worker runs but for the last figure, so what is queued stays queued.

- `POST /v1/jobs`: as many as can be, over CONNECTIONS connections; then RATE a second by the clock. Before and after it
  the same of a bare uvicorn that only answers (`bare_door.py`): what this machine can do at that moment.
- bulk: one request with so many JSON lines; the process's peak of memory is of the whole run.
- image API: `POST /v1/images/generations` through door, queue and worker beside the same call straight to the simulated
  provider, one after the other; the difference of the medians is what the queue adds.

Figures are those of a quiet machine only; CPU a request counts on a busy one too.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import httpx
import psutil
from by_the_clock import times_by_the_clock
from harness import MODEL, Setup, World, cpu_seconds, peak_megabytes, report, server_process, wait_until, world

PARTS = ("posts", "bulk", "images")
CONNECTIONS = 32
RATE = 500
LATENCY_SECONDS = 0.02
STOP_SECONDS_MAX = 60
DOOR = (sys.executable, "-m", "imagequeue.producer.main", "api", "--port", "0")
BARE = (sys.executable, str(Path(__file__).with_name("bare_door.py")))
LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local asked = 0
request = function()
  asked = asked + 1
  return wrk.format(nil, "/v1/jobs", nil, '{"prompt": "a lighthouse at dusk, ' .. asked .. '", "model": "MODEL"}')
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("told %d %d\\n", summary.requests,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be given again (default: all)")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=200)
    chosen = parser.parse_args()
    _pin(psutil.Process(), first=True)
    figures: dict[str, object] = {}
    for part in PARTS:
        if part in (chosen.only or PARTS):
            figures |= _measured(part, chosen)
    report("door", figures)


def _measured(part: str, chosen: argparse.Namespace) -> dict[str, object]:
    """One part's figures, in a world of its own."""
    with world(Setup(images_per_minute=None, latency_seconds=LATENCY_SECONDS)) as running:
        if part == "images":
            running.start_worker()
        if part == "posts":
            return _beside_bare(running, chosen.seconds)
        with _door(running) as (url, door):
            if part == "bulk":
                return _bulk(url, door, chosen.lines)
            return _overhead(running, url, chosen.calls)


def _beside_bare(running: World, seconds: float) -> dict[str, object]:
    figures: dict[str, object] = {}
    for name, command in (("bare, before", BARE), ("door", DOOR), ("bare, after", BARE)):
        with _door(running, command) as (url, door):
            found = _posts(url, door, seconds) | _on_time(url, door, seconds)
            figures |= {f"{name}: {figure}": value for figure, value in found.items()}
    return figures


@contextmanager
def _door(running: World, command: Sequence[str] = DOOR) -> Iterator[tuple[str, psutil.Process]]:
    environ = {**running.environ, "IMAGEQUEUE_LOG_LEVEL": "info"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            _pin(psutil.Process(process.pid), first=False)
            _pin(server_process(running), first=True)
            assert process.stdout is not None
            url = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
            wait_until(lambda: httpx.get(f"{url}/readyz").is_success, "the door", 30)
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS_MAX)


def _pin(process: psutil.Process, *, first: bool) -> None:
    """Let all threads of a process run on the first or the last core only."""
    core = 0 if first else (psutil.cpu_count() or 1) - 1
    for thread in process.threads():
        os.sched_setaffinity(thread.id, {core})


def _posts(url: str, door: psutil.Process, seconds: float) -> dict[str, object]:
    ask = _by_wrk if shutil.which("wrk") else _by_aiohttp
    ask(url, 1.0)  # warm
    before, started = cpu_seconds(door), time.perf_counter()
    answered, errors = ask(url, seconds)
    took, used = time.perf_counter() - started, cpu_seconds(door) - before
    return {
        "POST a second": answered / took,
        "not answered 202": errors,
        "CPU ms each": 1000 * used / max(1, answered),
        "share of its core used": used / took,
    }


def _by_wrk(url: str, seconds: float) -> tuple[int, int]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA.replace("MODEL", MODEL))
        script.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", script.name, url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    told = re.search(r"told (\d+) (\d+)", said)
    assert told is not None, said
    return int(told[1]), int(told[2])


def _by_aiohttp(url: str, seconds: float) -> tuple[int, int]:
    async def ask_on(client: aiohttp.ClientSession, until: float, statuses: list[int]) -> None:
        while time.perf_counter() < until:
            async with client.post(f"{url}/v1/jobs", json=_job(len(statuses))) as answer:
                await answer.read()
                statuses.append(answer.status)

    async def run() -> list[int]:
        statuses: list[int] = []
        until = time.perf_counter() + seconds
        async with aiohttp.ClientSession() as client:
            await asyncio.gather(*(ask_on(client, until, statuses) for _ in range(CONNECTIONS)))
        return statuses

    statuses = asyncio.run(run())
    return len(statuses), sum(status != 202 for status in statuses)


def _on_time(url: str, door: psutil.Process, seconds: float) -> dict[str, object]:
    """Ask by the clock; a request's time counts from when it was due, so that one that waits for another counts too."""
    port, requests = int(url.rpartition(":")[2]), round(RATE * seconds)
    used = cpu_seconds(door)
    times = times_by_the_clock(port, lambda i: json.dumps(_job(i)).encode(), per_second=RATE, requests=requests)
    what = f"{RATE} a second"
    return _spread(f"{what}: ms", times) | {f"{what}: CPU ms each": 1000 * (cpu_seconds(door) - used) / requests}


def _bulk(url: str, door: psutil.Process, lines: int) -> dict[str, object]:
    def body() -> Iterator[bytes]:
        for start in range(0, lines, 1_000):
            yield "".join(json.dumps(_job(i)) + "\n" for i in range(start, min(start + 1_000, lines))).encode()

    before, used, started = peak_megabytes(door.pid), cpu_seconds(door), time.perf_counter()
    answer = httpx.post(f"{url}/v1/jobs/bulk", content=body(), timeout=600).raise_for_status()
    took = time.perf_counter() - started
    assert answer.json()["created"] == lines, answer.text
    return {
        f"bulk of {lines} lines: s": took,
        f"bulk of {lines} lines: CPU ms each": 1000 * (cpu_seconds(door) - used) / lines,
        f"bulk of {lines} lines: MB at most": peak_megabytes(door.pid),
        f"bulk of {lines} lines: MB before": before,
    }


def _overhead(running: World, url: str, calls: int) -> dict[str, object]:
    org = running.settings.orgs[0]
    ask = {"model": MODEL, "prompt": "a lighthouse", "response_format": "b64_json"}
    key = {"Authorization": f"Bearer {org.api_key.get_secret_value()}"}
    with httpx.Client(timeout=60) as client:
        targets = {"direct": f"{running.simulator.base_url}/images/generations", "door": f"{url}/v1/images/generations"}
        times: dict[str, list[float]] = {name: [] for name in targets}
        for i in range(calls + 5):
            for name, target in targets.items():
                started = time.perf_counter()
                client.post(target, json=ask, headers=key if name == "direct" else None).raise_for_status()
                if i >= 5:  # the first ones open what the others use
                    times[name].append(1000 * (time.perf_counter() - started))
    added = _middle(times["door"]) - _middle(times["direct"])
    return {"image API: ms added, median": added} | {
        name: figure for each in times for name, figure in _spread(f"image API, {each}: ms", times[each]).items()
    }


def _job(number: int) -> dict[str, str]:
    return {"prompt": f"a lighthouse at dusk, {number}", "model": MODEL}


def _middle(times: Sequence[float]) -> float:
    return sorted(times)[len(times) // 2]


def _spread(what: str, times: Sequence[float]) -> dict[str, object]:
    ordered = sorted(times)
    return {f"{what}, median": _middle(times), f"{what}, p99": ordered[len(ordered) * 99 // 100]}


if __name__ == "__main__":
    main()
