"""Builds the simulator's web server and runs it until it is told to stop. One process, one core."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

import uvloop
from aiohttp import web

from imagequeue.simulator import refusals
from imagequeue.simulator.admin import AdminEndpoints
from imagequeue.simulator.batches import BatchEndpoints
from imagequeue.simulator.config import SimulatorConfig
from imagequeue.simulator.control import ControlEndpoints
from imagequeue.simulator.file_endpoints import FileEndpoints
from imagequeue.simulator.images import ImageEndpoints
from imagequeue.simulator.models import ModelEndpoints
from imagequeue.simulator.provider import Provider

REQUEST_BYTES_MAX: Final = 268_435_456
BACKLOG: Final = 8_192
STOP_SECONDS: Final = 1.0


def build(config: SimulatorConfig) -> tuple[web.Application, Provider]:
    """Return the application and its state; ConfigError or OSError when the configuration cannot be used."""
    provider = Provider(config)
    images, models = ImageEndpoints(provider), ModelEndpoints(provider)
    app = web.Application(client_max_size=REQUEST_BYTES_MAX)
    app.add_routes(
        [
            web.post("/v1/images/generations", images.generations),
            web.post("/v1/images/edits", images.edits),
            web.post("/v1/images/variations", images.variations),
            *models.routes(),
            *AdminEndpoints(provider).routes(),
            *FileEndpoints(provider).routes(),
            *BatchEndpoints(provider).routes(),
            *ControlEndpoints(provider).routes(),
            web.route("*", "/{rest:.*}", _unknown),
        ]
    )
    return app, provider


async def _unknown(request: web.Request) -> web.Response:
    return refusals.no_such_path(request.method, request.path).response({})


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. OSError when the address is not to be had."""
    return socket.create_server((host, port), backlog=BACKLOG, reuse_port=False)


def run(
    config: SimulatorConfig, listener: socket.socket, on_ready: Callable[[], None], *, until_stdin_closes: bool = False
) -> None:
    """Serve on `listener` until SIGTERM or SIGINT, or until standard input closes when asked; then stop at once."""
    raise_open_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, listener, on_ready, until_stdin_closes=until_stdin_closes))


async def _serve(
    config: SimulatorConfig, listener: socket.socket, on_ready: Callable[[], None], *, until_stdin_closes: bool
) -> None:
    app, provider = build(config)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    if until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), _watch_stdin, stop)
    try:
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        on_ready()
        await stop.wait()
    finally:
        await runner.cleanup()
        provider.bill.close()


def _watch_stdin(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


def raise_open_files() -> None:
    """Allow as many open files as the system lets this process have: each call in flight is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems refuse their own hard limit; the soft one then stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
