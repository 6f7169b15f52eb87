"""A TCP proxy that breaks one connection once: at the k-th command, before the server has it or after it ran it."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

Direction = Literal["request lost", "reply lost"]

CHUNK_BYTES: Final = 1 << 20
START_SECONDS_MAX: Final = 10.0


class FaultProxy:
    """Forwards to a server; what a client sends in one piece counts as one command."""

    def __init__(self, server_port: int, *, at: int, direction: Direction) -> None:
        self._server_port = server_port
        self._at = at
        self._direction = direction
        self._commands = 0
        self.port = 0
        self.hit = False

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Serve until told to stop."""
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            _reset(writer)
            return
        back = asyncio.create_task(_pump(server_reader, writer))
        try:
            while data := await reader.read(CHUNK_BYTES):
                self._commands += 1
                if self._commands == self._at:
                    await self._break(data, back, server_reader, server_writer)
                    _reset(writer)
                    return
                server_writer.write(data)
                await server_writer.drain()
        except ConnectionError:
            pass
        finally:
            back.cancel()
            server_writer.close()
            writer.close()

    async def _break(
        self,
        data: bytes,
        back: asyncio.Task[None],
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        """Lose the request, or let the server run it and lose the reply."""
        self.hit = True
        if self._direction == "reply lost":
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            server_writer.write(data)
            await server_writer.drain()
            await server_reader.read(CHUNK_BYTES)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def fault_proxy(server_port: int, *, at: int, direction: Direction) -> Iterator[FaultProxy]:
    """Run a proxy in a thread of its own for the length of the block."""
    proxy = FaultProxy(server_port, at=at, direction=direction)
    ready, loops, stops = threading.Event(), [], []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        stops.append(asyncio.Event())
        await proxy.serve(ready, stops[0])

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="fault-proxy")
    thread.start()
    assert ready.wait(START_SECONDS_MAX)
    try:
        yield proxy
    finally:
        loops[0].call_soon_threadsafe(stops[0].set)
        thread.join(START_SECONDS_MAX)
