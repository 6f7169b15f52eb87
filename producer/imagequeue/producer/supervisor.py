"""Runs commands of ours as child processes: starts them again when they fail, and ends them together in good order."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagequeue.config.signals import stop_signals
from imagequeue.producer.running import registered, write_process_id

STEADY_SECONDS: Final = 60.0  # a part that lived so long has started well; its failures are counted anew
RESTARTS_MAX: Final = 5
RESTART_SECONDS: Final = 0.25
RESTART_SECONDS_MAX: Final = 30.0
LINE_BYTES_MAX: Final = 65_536
FAILED: Final = 1
WRONG_USAGE: Final = 2


@dataclass(frozen=True, kw_only=True)
class Part:
    """One child: its name in front of its lines, and what follows `imagequeue` on its command line."""

    name: str
    arguments: tuple[str, ...]


class Supervisor:
    """Looks after parts until it is told to end or one of them ends for good.

    The first SIGINT, SIGTERM or SIGHUP asks all to finish (SIGTERM) and gives them `drain_seconds`; a second one kills
    them. The parts are in sessions of their own, so that Ctrl-C reaches them through here only.
    """

    def __init__(
        self,
        *,
        folder: Path,
        drain_seconds: float,
        write: Callable[[str], None],
        program: Sequence[str] = (sys.executable, "-m", "imagequeue.producer.main"),
    ) -> None:
        self._program = program
        self._folder = folder
        self._drain_seconds = drain_seconds
        self._write = write
        self._processes: dict[str, Process] = {}
        self._stopping = asyncio.Event()

    async def run(self, parts: Sequence[Part]) -> int:
        """Run the parts and return an exit code: 0 when all was ended on request, else that of the part that failed."""
        loop = asyncio.get_running_loop()
        for number in stop_signals():
            loop.add_signal_handler(number, self._asked_to_end)
        kept = [asyncio.create_task(self._keep(part)) for part in parts]
        asked = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([asked, *kept], return_when=asyncio.FIRST_COMPLETED)
        code = 0 if self._stopping.is_set() else max(task.result() for task in kept if task.done())
        self._stopping.set()
        await asyncio.gather(asked, self._end_all(kept))
        return code

    def _asked_to_end(self) -> None:
        if self._stopping.is_set():
            self._write("told twice: killing what still runs")
            self._signal_all(signal.SIGKILL)
            return
        self._write(f"finishing what is in flight, at most {self._drain_seconds:.0f} s; once more ends it at once")
        self._stopping.set()

    async def _end_all(self, kept: Sequence[asyncio.Task[int]]) -> None:
        self._signal_all(signal.SIGTERM)
        _, late = await asyncio.wait(kept, timeout=self._drain_seconds)
        if late:
            self._write(f"not finished after {self._drain_seconds:.0f} s: killing {', '.join(self._processes)}")
            self._signal_all(signal.SIGKILL)
        await asyncio.gather(*kept)

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            process.send_signal(number)

    async def _keep(self, part: Part) -> int:
        """Start the part, again and again if need be; return its exit code when it is not to be started again."""
        failures = 0
        while True:  # ends after RESTARTS_MAX failures in a row
            started = time.monotonic()
            code = await self._live(part)
            if self._stopping.is_set() or code in {0, WRONG_USAGE}:
                return code
            failures = 1 if time.monotonic() - started > STEADY_SECONDS else failures + 1
            if failures > RESTARTS_MAX:
                self._write(f"{part.name} | ended {failures} times in a row, at last with code {code}; giving up")
                return FAILED
            await self._pause_before_restart(part, code, failures)
            if self._stopping.is_set():
                return 0

    async def _pause_before_restart(self, part: Part, code: int, failures: int) -> None:
        seconds = min(RESTART_SECONDS * 2**failures, RESTART_SECONDS_MAX)
        self._write(f"{part.name} | ended with code {code}; starting it again in {seconds:g} s")
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _live(self, part: Part) -> int:
        """Run the part once, its lines going through `write`; return its exit code."""
        process = await self._start(part)
        self._processes[part.name] = process
        if self._stopping.is_set():
            process.terminate()
        if process.stdout is not None:
            await self._copy_lines(part.name, process.stdout)
        code = await process.wait()
        del self._processes[part.name]
        return code

    async def _start(self, part: Part) -> Process:
        with registered(self._folder, part.name) as lock:
            process = await asyncio.create_subprocess_exec(
                *self._program,
                *part.arguments,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                pass_fds=(lock,),
                start_new_session=True,
            )
            write_process_id(lock, process.pid)
        return process

    async def _copy_lines(self, name: str, stream: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await stream.read(LINE_BYTES_MAX):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LINE_BYTES_MAX:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._write(f"{name} | {line.decode(errors='replace')}")
        if rest:
            self._write(f"{name} | {rest.decode(errors='replace')}")
