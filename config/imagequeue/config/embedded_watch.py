"""The embedded server's watcher: stops the server when nobody has used it for a while, then ends.

Started by `embedded.ensure_server` as `python -m imagequeue.config.embedded_watch DATA_DIR IDLE_SECONDS
INTERVAL_SECONDS`; it detaches itself, so that nobody has to wait for it.
"""

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagequeue.config.embedded import stop_locked
from imagequeue.config.embedded_files import ServerFiles
from imagequeue.config.embedded_wire import Wire
from imagequeue.config.errors import Unavailable
from imagequeue.config.locks import is_held, locked

LOCK_SECONDS_MAX: Final = 1.0
RECONNECT_SECONDS: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Use:
    """What tells whether anybody else uses the server: connections now, and connections ever made."""

    clients: int
    connections: int

    def shows_nobody_since(self, before: "Use") -> bool:
        """Return whether only the watcher is connected and nobody has come since."""
        return self.clients <= 1 and self.connections == before.connections


def main(arguments: list[str]) -> None:
    """Detach, then watch until the server has ended."""
    data_dir, idle_seconds, interval_seconds = arguments
    if os.fork():
        os._exit(0)  # the starter waits for this process only
    files = ServerFiles.of(Path(data_dir))
    with suppress(Unavailable), locked(files.watcher_lock, LOCK_SECONDS_MAX):  # one watcher is enough
        watch(files, float(idle_seconds), float(interval_seconds))


def watch(files: ServerFiles, idle_seconds: float, interval_seconds: float) -> None:
    """Return when the server has ended, by itself or because it was idle for `idle_seconds`."""
    while files.folder.is_dir() and is_held(files.server_lock):
        try:
            with Wire(files.port() or 0, files.password()) as wire:
                _watch_connected(files, wire, idle_seconds, interval_seconds)
        except OSError:  # it ended, or is busy for a moment: look again
            time.sleep(RECONNECT_SECONDS)


def _watch_connected(files: ServerFiles, wire: Wire, idle_seconds: float, interval_seconds: float) -> None:
    before, idle_since = _use(wire), time.monotonic()
    while not wire.closed_within(interval_seconds):
        if not files.folder.is_dir():  # somebody removed the data dir: there is nothing left to serve
            wire.ask("SHUTDOWN", "NOSAVE")
        now = _use(wire)
        if not now.shows_nobody_since(before):
            before, idle_since = now, time.monotonic()
        elif time.monotonic() - idle_since >= idle_seconds and _stop_if_still_idle(files, wire, before):
            return


def _stop_if_still_idle(files: ServerFiles, wire: Wire, before: Use) -> bool:
    """Look once more while nobody can start or stop the server, and stop it."""
    try:
        with locked(files.starting_lock, LOCK_SECONDS_MAX):
            return _use(wire).shows_nobody_since(before) and stop_locked(files)
    except Unavailable:  # somebody is starting or stopping it at this very moment
        return False


def _use(wire: Wire) -> Use:
    return Use(
        clients=int(wire.figures("clients")["connected_clients"]),
        connections=int(wire.figures("stats")["total_connections_received"]),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
