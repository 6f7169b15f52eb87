"""How fast a stored result answers over HTTP, beside a call; and how many calls 100 identical requests at once make.

    python benchmarks/cache.py [--hits N]

Posts one after the other to a real door with a real worker and a simulated provider behind it. `hit` is one
`POST /v1/jobs` whose answer says `succeeded`; `hit and view` also fetches the job view; `call` is a `POST` and a
long-poll of a job that is called, with a provider that takes LATENCY_SECONDS.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import httpx
import psutil
from harness import MODEL, Setup, World, cpu_seconds, report, wait_until, world

LATENCY_SECONDS = 0.02
CALLS = 20
AT_ONCE = 100
STOP_SECONDS_MAX = 30


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=300)
    chosen = parser.parse_args()
    with world(Setup(images_per_minute=None, latency_seconds=LATENCY_SECONDS)) as running:
        running.start_worker()
        with _door(running) as (client, door):
            figures = _latencies(client, door, chosen.hits) | _at_once(running, client)
    report("cache", figures)


@contextmanager
def _door(running: World) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    command = [sys.executable, "-m", "imagequeue.producer.main", "api", "--port", "0"]
    process = subprocess.Popen(command, env=running.environ, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
        with httpx.Client(base_url=address, timeout=60) as client:
            wait_until(lambda: client.get("/readyz").status_code == 200, "the door", 30)
            yield client, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS_MAX)


def _body(prompt: str) -> dict[str, object]:
    return {"prompt": prompt, "model": MODEL, "cache": "use"}


def _post(client: httpx.Client, prompt: str) -> dict[str, str]:
    answer: dict[str, str] = client.post("/v1/jobs", json=_body(prompt)).raise_for_status().json()
    return answer


def _ended(client: httpx.Client, job_id: str) -> dict[str, object]:
    view: dict[str, object] = client.get(f"/v1/jobs/{job_id}", params={"wait": 30}).raise_for_status().json()
    if view["status"] != "succeeded":
        raise RuntimeError(f"job {job_id} is {view['status']}: {view['error']}")
    return view


def _latencies(client: httpx.Client, door: psutil.Process, hits: int) -> dict[str, object]:
    prompt = uuid4().hex
    _ended(client, _post(client, prompt)["id"])

    def hit() -> None:
        if _post(client, prompt)["status"] != "succeeded":
            raise RuntimeError("the stored result did not answer")

    def queued() -> None:
        client.post("/v1/jobs", json=_body(uuid4().hex) | {"not_before": "2999-01-01T00:00:00Z"}).raise_for_status()

    def call() -> None:
        _ended(client, _post(client, uuid4().hex)["id"])

    hit()  # opens what a hit needs
    return (
        _figures("hit", _times(hit, hits))
        | {"hit: CPU ms of the door": 1000 * _cpu_of(door, hit, hits)}
        | _figures("a job that is only queued", _times(queued, hits))
        | _figures("hit and view", _times(lambda: _ended(client, _post(client, prompt)["id"]), hits))
        | _figures(f"call of {LATENCY_SECONDS * 1000:.0f} ms", _times(call, CALLS))
    )


def _cpu_of(door: psutil.Process, step: Callable[[], object], many: int) -> float:
    before = cpu_seconds(door)
    for _ in range(many):
        step()
    return (cpu_seconds(door) - before) / many


def _times(step: Callable[[], object], many: int) -> list[float]:
    times = []
    for _ in range(many):
        before = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - before))
    return sorted(times)


def _figures(what: str, times: Sequence[float]) -> dict[str, object]:
    return {f"{what}: ms, median": times[len(times) // 2], f"{what}: ms, p99": times[len(times) * 99 // 100]}


def _at_once(running: World, client: httpx.Client) -> dict[str, object]:
    before, prompt = len(running.simulator.control.bill()), uuid4().hex
    with ThreadPoolExecutor(AT_ONCE) as threads:
        started = time.perf_counter()
        ids = list(threads.map(lambda _: _post(client, prompt)["id"], range(AT_ONCE)))
        list(threads.map(lambda each: _ended(client, each), ids))
        seconds = time.perf_counter() - started
    made = len(running.simulator.control.bill()) - before
    return {f"{AT_ONCE} identical at once: calls made": made, f"{AT_ONCE} identical at once: all ended, s": seconds}


if __name__ == "__main__":
    main()
