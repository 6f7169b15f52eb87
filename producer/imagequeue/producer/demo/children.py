"""Commands of ours as child processes that end with us: started, waited for, stopped."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from imagequeue.producer.running import registered, run_folder, write_process_id

STOP_SECONDS_MAX: Final = 15.0
PROGRAM: Final = (sys.executable, "-m", "imagequeue.producer.main")


@asynccontextmanager
async def child(
    arguments: Sequence[str], *, environ: Mapping[str, str], folder: Path, log: str
) -> AsyncIterator[Process]:
    """Run `imagequeue` with arguments in a folder for the length of a block; its messages go to a file there.

    Standard output is a pipe for the caller, who must read it. Its standard input closes when we end, however that
    happens. Ctrl-C does not reach it: the end of the block ends it, or `imagequeue down` there when we are killed.
    """
    with (folder / log).open("wb") as messages, registered(run_folder(folder), Path(log).stem) as lock:
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            *arguments,
            env=dict(environ),
            cwd=folder,
            stdin=PIPE,
            stdout=PIPE if "--json" in arguments else messages,
            stderr=messages,
            pass_fds=(lock,),
            start_new_session=True,
        )
        write_process_id(lock, process.pid)
    try:
        yield process
    finally:
        await _stop(process)


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS_MAX):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def tail(path: Path, lines: int = 5) -> str:
    """Return the last lines of a log on one line."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return " / ".join(text.splitlines()[-lines:])
