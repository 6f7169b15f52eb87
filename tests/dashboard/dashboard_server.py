"""Serves a door of tests on a port of its own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from dashboard_door import FakeDoor


@contextmanager
def served(door: FakeDoor) -> Iterator[str]:
    """Give the address of a server with the page, on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(door.app(), log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        door.closing = True
        server.should_exit = True
        thread.join(20)
        listener.close()
