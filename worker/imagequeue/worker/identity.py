"""A worker's name in the queue, and the lease that keeps it alive; a new one when the old was given up for dead."""

import asyncio
import os
import platform
import secrets
import socket
from collections.abc import Callable, Sequence

from rq.version import VERSION

from imagequeue.queue.claims import Claims
from imagequeue.queue.scripts import Scripts
from imagequeue.worker.lease import LeaseKeeper


class Identity:
    """Registers this process as a worker and keeps its lease. `on_gone` is called when the lease was lost."""

    def __init__(
        self,
        scripts: Scripts,
        url: str,
        *,
        lease_seconds: float,
    ) -> None:
        self._scripts = scripts
        self._url = url
        self._lease_seconds = lease_seconds
        self.on_gone: Callable[[], None] = lambda: None
        self._claims: Claims | None = None
        self._keeper: LeaseKeeper | None = None

    @property
    def claims(self) -> Claims:
        """The claims under the present name."""
        if self._claims is None:
            raise RuntimeError("born() comes first")
        return self._claims

    @property
    def keeper(self) -> LeaseKeeper:
        """What renews the present lease."""
        if self._keeper is None:
            raise RuntimeError("born() comes first")
        return self._keeper

    async def born(self, queues: Sequence[str]) -> None:
        """Take a new name and register it."""
        claims = Claims(self._scripts, new_name())
        await claims.register(lease_us=int(self._lease_seconds * 1_000_000), facts=_facts(queues), queues=queues)
        loop = asyncio.get_running_loop()
        keeper = LeaseKeeper(
            self._url,
            self._scripts.keys,
            claims.worker,
            lease_seconds=self._lease_seconds,
            on_gone=lambda: _tell(loop, self.on_gone),
        )
        if self._keeper is not None:
            self._keeper.stop()
        self._claims, self._keeper = claims, keeper
        keeper.start()


def new_name() -> str:
    """Return a name that nobody else has: RQ's tools show it."""
    return f"imagequeue-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}".replace(".", "-")


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)


def _facts(queues: Sequence[str]) -> dict[str, str | int]:
    return {
        "queues": ",".join(queues),
        "pid": os.getpid(),
        "hostname": socket.gethostname(),
        "ip_address": "",
        "version": VERSION,
        "python_version": platform.python_version(),
        "state": "idle",
    }
