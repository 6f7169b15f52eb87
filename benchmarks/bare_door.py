"""The measure of the machine: uvicorn alone, on its own h11, which answers every request with a job's answer.

    python benchmarks/bare_door.py        # prints its address; ends on SIGTERM

It checks nothing, queues nothing and logs nothing. What it reaches on one core is more than any door can on that core.
"""

import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
import uvloop

Message = MutableMapping[str, Any]

KEEP_ALIVE_SECONDS = 600
ID = b"0d9f4c3f5f8e4c0f9a4e6f0a3b1c2d3e"
BODY = b'{"id":"%b","status":"queued","created":true}' % ID
HEADERS = [
    (b"location", b"/v1/jobs/" + ID),
    (b"content-length", str(len(BODY)).encode()),
    (b"content-type", b"application/json"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"x-request-id", b"req_0d9f4c3f5f8e4c0f9a4e6f0a"),
]


async def answer(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Read a request and answer it."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def serve() -> None:
    """Serve on a free port until told to stop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            answer,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.run(serve())
