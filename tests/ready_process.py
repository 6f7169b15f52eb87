"""Processes that are there at once: forked from one that has the product imported already.

A start from nothing takes one to two seconds of CPU, most of it imports; a hundred killed ones would take minutes.
What runs is the same module as with `python -m`, in a process of its own, with an environment of its own.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import IO, Final

PRELOADED: Final = [
    "imagequeue.worker.main",
    "imagequeue.worker.commands",
    "imagequeue.producer.main",
    "imagequeue.producer.door.main",
    "imagequeue.dashboard.mount",
    "imagequeue.config.logs",
    "imagequeue.store.folder",
    "alembic.command",
    "alembic.ddl.sqlite",
    "certifi",
    "encodings.idna",
    "httpcore",
    "httpx_aiohttp",
    "rq",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "typer.main",
]  # also what a worker would import only when it first needs it
"""Installed modules only: the server that forks does not see the folders of the tests."""

END_SECONDS_MAX: Final = 60.0


def forking() -> ForkServerContext:
    """Return what starts such processes; there is one server that forks for each process that asks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended (negative: by this signal), and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def run(module: str, *words: str, environ: Mapping[str, str], seconds_max: float = 60.0) -> Ended:
    """Run `python -m module words` to its end; AssertionError with what it wrote when it does not end."""
    with tempfile.TemporaryDirectory(prefix="imagequeue-ready-") as folder:
        outputs = [Path(folder, name) for name in ("stdout", "stderr")]
        for output in outputs:
            output.touch()
        arguments = (module, words, dict(environ), [str(output) for output in outputs])
        process = forking().Process(target=_be, args=arguments, daemon=True)
        process.start()
        process.join(seconds_max)
        code = process.exitcode
        process.kill()
        process.join()
        stdout, stderr = (output.read_text(errors="replace") for output in outputs)
    assert code is not None, f"{module} {words} did not end: {stdout[-2000:]} {stderr[-2000:]}"
    return Ended(returncode=code, stdout=stdout, stderr=stderr)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A process that runs, and what it writes."""

    process: ForkServerProcess
    stdout: IO[bytes]

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process.pid is not None
        return self.process.pid

    def wait(self, seconds_max: float) -> int | None:
        """Return how it ended; None when it has not."""
        self.process.join(seconds_max)
        return self.process.exitcode


@contextmanager
def running(module: str, *words: str, environ: Mapping[str, str], stderr: Path) -> Iterator[Running]:
    """Run `python -m module words` for the length of a block; after it the process is told to end, and waited for."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = forking().Process(target=_be_heard, args=(module, words, dict(environ), theirs, str(stderr)), daemon=True)
    process.start()
    theirs.close()
    with os.fdopen(os.dup(ours.fileno()), "rb") as stdout:
        ours.close()
        try:
            yield Running(process=process, stdout=stdout)
        finally:
            process.terminate()
            process.join(END_SECONDS_MAX)
            process.kill()
            process.join()


def _be_heard(module: str, words: tuple[str, ...], environ: Mapping[str, str], stdout: Connection, stderr: str) -> None:
    os.dup2(stdout.fileno(), 1)
    stdout.close()
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 2)
    _be_program(module, words, environ)


def _be(module: str, words: tuple[str, ...], environ: Mapping[str, str], outputs: Sequence[str]) -> None:
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    _be_program(module, words, environ)


def _be_program(module: str, words: tuple[str, ...], environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = [module, *words]
    sys.modules.pop(module, None)  # it is run anew, as the program
    runpy.run_module(module, run_name="__main__", alter_sys=True)
