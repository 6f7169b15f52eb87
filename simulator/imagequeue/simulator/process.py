"""Runs a simulator as a process of its own for the length of a `with` block: for tests, the demo and benchmarks."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from imagequeue.simulator.client import SimulatorControl
from imagequeue.simulator.config import SimulatedOrg, SimulatorConfig, dump_config

READY_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class RunningSimulator:
    """A simulator that is up. `base_url` ends in /v1, as an OpenAI client wants it; `url` is the server's root."""

    url: str
    config: SimulatorConfig
    process: subprocess.Popen[bytes]
    control: SimulatorControl

    @property
    def base_url(self) -> str:
        """Return the provider's address."""
        return f"{self.url}/v1"

    @property
    def org(self) -> SimulatedOrg:
        """Return the first organization."""
        return self.config.orgs[0]

    @property
    def api_key(self) -> str:
        """Return the API key of the first organization."""
        return self.org.api_key

    @property
    def admin_key(self) -> str:
        """Return the admin key of the first organization."""
        return self.org.admin_key

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.process.pid

    def kill(self) -> None:
        """End the process as a crash would: no clean-up, no answer."""
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)


@contextlib.contextmanager
def running_simulator(config: SimulatorConfig | None = None, *, port: int = 0) -> Iterator[RunningSimulator]:
    """Start a simulator on a free port (or `port`), wait until it answers, and stop it at the end.

    It also stops when this process dies, however that happens. RuntimeError when it does not become ready.
    """
    told = config or SimulatorConfig()
    with tempfile.TemporaryDirectory(prefix="imagequeue-simulator-") as folder:
        path = Path(folder, "simulator.json")
        path.write_bytes(dump_config(told))
        process = _start(path, port)
        try:
            url = str(json.loads(_first_line(process))["url"])
            with SimulatorControl(url) as control:
                yield RunningSimulator(url=url, config=told, process=process, control=control)
        finally:
            _stop(process)


def _start(config: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "imagequeue.simulator", "--json", "--until-stdin-closes"]
    command += ["--config", str(config), "--port", str(port)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  # our own module


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    output = _pipe(process.stdout)
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        ready = selector.select(READY_SECONDS_MAX)
    line = os.read(output.fileno(), 65_536) if ready else b""  # the ready line is written at once, so it is whole
    if not line:
        raise RuntimeError("the simulator did not become ready; see its message above")
    return line


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("the simulator was started without pipes")
    return stream


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS_MAX)
    for stream in (process.stdin, process.stdout):
        _pipe(stream).close()
