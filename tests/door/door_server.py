"""The door's own HTTP protocol on a free port, with any application behind it, for the length of a talk."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import uvicorn

from imagequeue.producer.door.wire import DoorProtocol

Answer = TypeVar("Answer")


def talk_with(
    app: Callable[..., Any],
    talk: Callable[[int], Awaitable[Answer]],
    *,
    protocol: type[DoorProtocol] = DoorProtocol,
    seconds: float,
) -> Answer:
    """Return what `talk`, given the port, returns within so many seconds."""

    async def run() -> Answer:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, ws="none")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server._serve(sockets=[listener]))
            try:
                async with asyncio.timeout(seconds):
                    return await talk(listener.getsockname()[1])
            finally:
                server.should_exit = True
                await serving

    return asyncio.run(run())
