"""What the embedded server keeps in the data dir: its configuration, its files and, among them, its locks.

- `starting.lock`  one process at a time starts or stops the server
- `server.lock`    held by the server itself, which inherits it: free means that no server uses these files
- `watcher.lock`   held by the watcher
"""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagequeue.config.errors import QueueUnavailable

LOG_BYTES_MAX: Final = 1_000_000
PASSWORD_BYTES: Final = 24

CONFIGURATION: Final = """\
# Written at every start; edits are lost. Figures: nothing is ever evicted, at most one second is lost to a power cut.
bind 127.0.0.1
port {port}
requirepass {password}
daemonize yes
dir "{folder}"
pidfile "{folder}/server.pid"
logfile "{folder}/server.log"
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
maxmemory-policy noeviction
databases 1
"""


@dataclass(frozen=True, kw_only=True)
class ServerFiles:
    """The folder `server` of one data dir, readable by its owner only."""

    folder: Path

    @classmethod
    def of(cls, data_dir: Path) -> "ServerFiles":
        """Return the files of a data dir; nothing is made."""
        return cls(folder=data_dir.resolve() / "server")

    @property
    def starting_lock(self) -> Path:
        """Held while the server is being started or stopped."""
        return self.folder / "starting.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server."""
        return self.folder / "server.lock"

    @property
    def watcher_lock(self) -> Path:
        """Held by the watcher."""
        return self.folder / "watcher.lock"

    @property
    def configuration(self) -> Path:
        """Hold the server's configuration with its password."""
        return self.folder / "server.conf"

    def make_folder(self) -> None:
        """Make the folder for its owner alone; QueueUnavailable when that is impossible."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as error:
            raise QueueUnavailable(f"IMAGEQUEUE_DATA_DIR: {self.folder}: {error.strerror}") from error

    def port(self) -> int | None:
        """Return the port of the running or last server."""
        return _number(self.folder / "server.port")

    def process_id(self) -> int | None:
        """Return the server's process id; sure to be the server's only while `server_lock` is held."""
        return _number(self.folder / "server.pid")

    def password(self) -> str:
        """Return the server's password, made at the first start."""
        path = self.folder / "server.password"
        if not path.exists():
            _write_private(path, secrets.token_hex(PASSWORD_BYTES))
        return path.read_text()

    def write_configuration(self, port: int) -> None:
        """Write what the next server starts with."""
        (self.folder / "server.pid").unlink(missing_ok=True)
        self._turn_log()
        text = CONFIGURATION.format(port=port, password=self.password(), folder=_quoted(self.folder))
        _write_private(self.configuration, text)
        _write_private(self.folder / "server.port", str(port))

    def last_words(self) -> str:
        """Return the last line of the server's log."""
        try:
            lines = (self.folder / "server.log").read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return lines[-1] if lines else "its log is empty"

    def _turn_log(self) -> None:
        log = self.folder / "server.log"
        with suppress(FileNotFoundError):
            if log.stat().st_size > LOG_BYTES_MAX:
                log.replace(self.folder / "server.log.1")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    unfinished.replace(path)


def _quoted(folder: Path) -> str:
    return str(folder).replace("\\", "\\\\").replace('"', '\\"')
