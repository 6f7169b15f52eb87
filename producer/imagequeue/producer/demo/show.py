"""The whole demonstration: sets the stage, runs it, says how it went, and takes everything down again."""

import asyncio
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from imagequeue.config.clock import SystemClock
from imagequeue.config.embedded import stop_server
from imagequeue.config.errors import ImageQueueError
from imagequeue.config.settings import CONFIG_VARIABLE, Settings, load_settings
from imagequeue.producer.commands.output import print_json, print_line
from imagequeue.producer.demo.children import child, tail
from imagequeue.producer.demo.ending import ending_json, print_ending
from imagequeue.producer.demo.place import CONFIG, clean_environ, fresh_folder, write_config
from imagequeue.producer.demo.provider import Provider, running_provider
from imagequeue.producer.demo.run import run
from imagequeue.producer.open_queue import OpenQueue, opened_queue
from imagequeue.producer.registry import installed_parts

READY_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What the command line says."""

    jobs: int
    keep_running: bool
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """What the demonstration runs on."""

    folder: Path
    environ: Mapping[str, str]
    provider: Provider
    settings: Settings
    queue: OpenQueue


async def show(options: DemoOptions) -> int:
    """Run it; return 0 when the ledger equals the provider's bill and nothing was lost, else 1.

    SIGINT and SIGTERM cancel it, also where a shell had it started in the background, deaf to Ctrl-C.
    """
    if (task := asyncio.current_task()) is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    folder = fresh_folder(os.environ, Path.cwd(), SystemClock().now())
    async with _stage(folder) as stage:
        if not options.as_json:
            print_line(f"{options.jobs:,} jobs for dall-e-3 at tier 5, a simulated provider, everything in {folder}")
        ran = await run(stage.queue, stage.provider, options.jobs, stage.environ, folder, quiet=options.as_json)
        async with AsyncExitStack() as running:
            dashboard = await _kept_running(running, stage) if options.keep_running else _dashboard_hint(folder)
            if options.as_json:
                print_json(ending_json(ran, stage.settings, folder, dashboard=dashboard))
            else:
                print_ending(ran, stage.settings, folder, dashboard=dashboard)
            if options.keep_running:
                await _until_interrupted(quiet=options.as_json)
    return 0 if ran.account.good else 1


@asynccontextmanager
async def _stage(folder: Path) -> AsyncIterator[_Stage]:
    environ = clean_environ(os.environ, folder)
    async with running_provider(folder, environ) as provider:
        write_config(folder, provider)
        settings = load_settings(environ, folder)
        try:
            async with opened_queue(settings) as queue:
                yield _Stage(folder=folder, environ=environ, provider=provider, settings=settings, queue=queue)
        finally:
            await asyncio.to_thread(stop_server, folder)


async def _kept_running(running: AsyncExitStack, stage: _Stage) -> str | None:
    """Start a worker, and the dashboard where it is installed; return its address."""
    await running.enter_async_context(_started(stage, ("worker",), "worker-2.log"))
    if not _has_api():
        return None
    url = f"http://127.0.0.1:{(port := _free_port())}/"
    door = await running.enter_async_context(_started(stage, ("api", "--port", str(port)), "api.log"))
    await _ready(url, door, stage.folder / "api.log")
    return url


async def _ready(url: str, door: Process, log: Path) -> None:
    """Return once a door answers; ImageQueueError when it does not."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    async with httpx.AsyncClient(base_url=url) as http:
        while door.returncode is None and time.monotonic() < deadline:
            try:
                (await http.get("healthz", timeout=READY_SECONDS_MAX)).raise_for_status()
            except httpx.HTTPError:
                await asyncio.sleep(POLL_SECONDS)
            else:
                return
    raise ImageQueueError(f"the dashboard does not start: {tail(log)}")


def _started(stage: _Stage, arguments: tuple[str, ...], log: str) -> AbstractAsyncContextManager[Process]:
    return child(arguments, environ=stage.environ, folder=stage.folder, log=log)


def _dashboard_hint(folder: Path) -> str | None:
    return f"{CONFIG_VARIABLE}={folder / CONFIG} imagequeue api" if _has_api() else None


def _has_api() -> bool:
    return any(part.name == "api" for part in installed_parts())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _until_interrupted(*, quiet: bool) -> None:
    sys.stdout.flush()
    if not quiet:
        print_line("")
        print_line("everything goes on running; Ctrl-C ends it")
    await asyncio.Event().wait()
