"""The door as it is used: real processes on one data dir, with a simulated provider and a worker behind them."""

import json
import os
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import ready_process
from ready_process import Ended, Running, run

from imagequeue.config.clock import SystemClock
from imagequeue.producer.door.key_file import KeyFile
from imagequeue.producer.door.keys import KeyRecord, digest, new_token
from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import RunningSimulator, running_simulator

KEPT = ("PATH", "HOME", "LANG", "SSL_CERT_FILE")
READY_SECONDS_MAX = 60.0
ENDED_SECONDS_MAX = 30.0
POLL_SECONDS = 0.02
UNLIMITED = {"images_per_minute": 600_000, "tokens_per_minute": None}
SLOW_PER_MINUTE = 30
"""dall-e-2 and gpt-image-1.5, which streams, have a line: one image in about two seconds."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running installation. `open_url` needs no key; `url` is the same queue behind keys."""

    data_dir: Path
    environ: dict[str, str]
    simulator: RunningSimulator
    open_url: str
    url: str
    tokens: dict[str, str]
    log_bytes_seen: dict[Path, int] = field(default_factory=dict)

    def client(self, who: str | None = None) -> httpx.Client:
        """Return a client with the token of `who`; None: of the open door."""
        if who is None:
            return httpx.Client(base_url=self.open_url, timeout=30)
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        return httpx.Client(base_url=self.url, timeout=30, headers=headers)

    def newly_logged(self) -> list[str]:
        """Return what the doors have logged since this was asked last."""
        lines: list[str] = []
        for path in self.data_dir.parent.glob("api-*.log"):
            new = path.read_bytes()[self.log_bytes_seen.get(path, 0) :]
            self.log_bytes_seen[path] = self.log_bytes_seen.get(path, 0) + len(new)
            lines += new.decode("utf-8", "replace").splitlines()
        return lines


@contextmanager
def running_stack(data_dir: Path) -> Iterator[Stack]:
    """Run everything for the length of a block."""
    limits = dict.fromkeys(("dall-e-3", "dall-e-2", "gpt-image", "gpt-image-1.5"), GroupLimits())
    org = SimulatedOrg(name="main", limits=limits)
    config = SimulatorConfig(orgs=(org,), latency=Latency(seconds=0.02), render="fast", image_bytes=0, seed=3)
    with running_simulator(config) as simulator:
        environ = environment(data_dir, simulator.base_url, simulator.api_key)
        tokens = {name: make_key(data_dir, name, **fields) for name, fields in KEYS.items()}
        no_keys = environ | {"IMAGEQUEUE_API_KEYS_FILE": str(data_dir / "no-keys.json")}
        with (
            running_door(environ) as url,
            running_door(no_keys) as open_url,
            running(environ, "worker"),
        ):
            wait_for_worker(open_url)
            yield Stack(
                data_dir=data_dir, environ=environ, simulator=simulator, open_url=open_url, url=url, tokens=tokens
            )


KEYS: dict[str, dict[str, object]] = {
    "admin": {"scopes": ("admin",)},
    "reader": {"scopes": ("read",)},
    "submitter": {"scopes": ("submit",)},
    "red": {"scopes": ("submit", "read"), "tenant": "red"},
    "blue": {"scopes": ("submit", "read"), "tenant": "blue"},
    "slow": {"scopes": ("read",), "requests_per_minute": 3},
    "poor": {"scopes": ("submit", "read"), "monthly_budget_nano_usd": 100_000_000},
}


def environment(data_dir: Path, base_url: str, api_key: str) -> dict[str, str]:
    """Return an environment with one organization: no ceiling to speak of but for dall-e-2 and gpt-image-1.5."""
    slow = {"images_per_minute": SLOW_PER_MINUTE}
    org = {
        "name": "main",
        "api_key": api_key,
        "base_url": base_url,
        "tier": "5",
        "limits": {"dall-e-3": UNLIMITED, "gpt-image-2": UNLIMITED, "dall-e-2": slow, "gpt-image-1.5": slow},
    }
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"IMAGEQUEUE_DATA_DIR": str(data_dir), "IMAGEQUEUE_ORGS": json.dumps([org])}


def imagequeue(environ: dict[str, str], *arguments: str) -> Ended:
    """Run one command to its end."""
    return run("imagequeue.producer.main", *arguments, environ=environ)


def make_key(data_dir: Path, name: str, **fields: object) -> str:
    """Return the token of a new key."""
    key_id, token = new_token()
    made = {"id": key_id, "name": name, "sha256": digest(token), "created_at": SystemClock().now()}
    KeyFile(data_dir / "api-keys.json").add(KeyRecord.model_validate(made | fields))
    return token


@contextmanager
def running(environ: dict[str, str], *arguments: str) -> Iterator[Running]:
    """Run a command for the length of a block; it must end in good order when it is told to."""
    log = Path(environ["IMAGEQUEUE_DATA_DIR"]).parent / f"{arguments[0]}-{time.monotonic_ns()}.log"
    with ready_process.running("imagequeue.producer.main", *arguments, environ=environ, stderr=log) as process:
        yield process
    assert process.wait(0) == 0, log.read_text()


@contextmanager
def running_door(environ: dict[str, str]) -> Iterator[str]:
    """Run a door on a free port and give its address."""
    with running(environ, "api", "--port", "0") as process:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(READY_SECONDS_MAX), "the door did not become ready"
        yield process.stdout.readline().decode().split()[-1]


def wait_for_worker(url: str) -> None:
    """Return once a worker lives."""
    eventually(lambda: bool(httpx.get(f"{url}/v1/status").json()["workers"]))


def eventually(happened: Callable[[], bool], seconds_max: float = ENDED_SECONDS_MAX) -> None:
    """Return once something has happened; fail when it does not."""
    deadline = time.monotonic() + seconds_max
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(POLL_SECONDS)


def ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """Return a job's view once it has ended."""
    view: dict[str, Any] = client.get(f"/v1/jobs/{job_id}", params={"wait": 20}).json()
    assert view["status"] in ("succeeded", "failed", "cancelled", "expired"), view
    return view


def submit(client: httpx.Client, **fields: object) -> str:
    """Queue a job and return its id."""
    answer = client.post("/v1/jobs", json={"prompt": "a lighthouse", "model": "dall-e-3", **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])
