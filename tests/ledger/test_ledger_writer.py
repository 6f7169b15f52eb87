"""What happens when processes start together, stop, are killed, or lose their database."""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ledger_values import ManualClock, ending, held, opened, request, settlement
from ready_process import forking
from sqlalchemy import text

from imagequeue.config.clock import SystemClock
from imagequeue.config.errors import LedgerUnavailable
from imagequeue.ledger import committer, operations, writer
from imagequeue.ledger.api import Held
from imagequeue.ledger.apply import Batch
from imagequeue.ledger.database import parse_url, reader_engine, writer_engine
from imagequeue.ledger.ledger import Ledger, _opened_committer
from imagequeue.ledger.migrate import current_revision, migrate
from imagequeue.ledger.schema import REVISION, metadata
from imagequeue.ledger.statements import Statements
from imagequeue.ledger.transaction import SqliteTransaction, Transaction, transaction_on


def test_the_tables_are_those_of_the_newest_migration(empty_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = writer_engine(parse_url(empty_url))
    with engine.begin() as connection:
        assert current_revision(connection) is None
        migrate(connection)
        assert current_revision(connection) == REVISION
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        migrate(connection)
    engine.dispose()


def test_the_newest_migration_is_alembic_s_head() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "imagequeue.ledger:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_tables_of_a_newer_program_are_left_alone(ledger_url: str) -> None:
    engine = writer_engine(parse_url(ledger_url))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(LedgerUnavailable, match="9999"):
        asyncio.run(Ledger.open(ledger_url))


def test_ledgers_that_start_together_migrate_once(empty_url: str) -> None:
    async def story() -> None:
        ledgers = await asyncio.gather(*(Ledger.open(empty_url) for _ in range(4)))
        holds = await asyncio.gather(*(held(ledger) for ledger in ledgers))
        assert len({hold.attempt_id for hold in holds}) == 4
        (await ledgers[0].audit()).raise_for_breach()
        await asyncio.gather(*(ledger.aclose() for ledger in ledgers))

    asyncio.run(story())


def test_a_database_that_is_not_there_is_said_so_without_the_password() -> None:
    with pytest.raises(LedgerUnavailable, match="ledger") as error:
        asyncio.run(Ledger.open("postgresql://user:hush@127.0.0.1:1/none"))
    assert "hush" not in str(error.value)


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="unable to open"):
        asyncio.run(Ledger.open(f"sqlite:///{tmp_path}/missing/ledger.db"))


def test_sqlite_makes_every_commit_durable(sqlite_template: Path, tmp_path: Path) -> None:
    path = shutil.copy(sqlite_template, tmp_path / "ledger.db")
    committer = _opened_committer(parse_url(f"sqlite:///{path}"), SystemClock())
    committer._connect()
    assert committer._connection is not None
    connection = committer._connection.driver_connection
    assert isinstance(connection, sqlite3.Connection)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    committer.close()


def test_what_was_asked_for_before_the_end_is_committed(ledger_url: str) -> None:
    async def story() -> None:
        ledger = await Ledger.open(ledger_url)
        asked = [asyncio.create_task(ledger.hold(request())) for _ in range(300)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(ledger.aclose())
        assert all(isinstance(hold, Held) for hold in await asyncio.gather(*asked))
        await closing
        with pytest.raises(LedgerUnavailable, match="closed"):
            await ledger.hold(request())
        with pytest.raises(LedgerUnavailable, match="closed"):
            await ledger.ping()

    asyncio.run(story())


def test_a_hold_that_nobody_waits_for_any_more_is_voided(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            asked = asyncio.create_task(ledger.hold(request("job")))
            while not ledger._writer._waiting:  # noqa: ASYNC110  # the thread tells no event
                await asyncio.sleep(0)
            while ledger._writer._waiting:  # noqa: ASYNC110  # until the thread has taken it
                await asyncio.sleep(0)
            asked.cancel()
            while (await ledger.summary()).total.held or (await ledger.summary()).total.voided == 0:
                await asyncio.sleep(0.005)
                if not await ledger.attempts(["job"]):
                    return  # cancelled before it was held: nothing to void
            (attempt,) = (await ledger.attempts(["job"]))["job"]
            assert (attempt.state, attempt.error_code) == ("voided", "cancelled")

    asyncio.run(story())


def test_a_killed_connection_loses_nothing(postgresql_server: str, postgresql_template: str) -> None:
    from ledger_databases import database

    database = database(postgresql_server, f" TEMPLATE {postgresql_template}")
    url = next(database)

    async def story() -> None:
        async with opened(url) as ledger:
            await held(ledger)
            for _ in range(5):
                asked = [asyncio.create_task(ledger.hold(request())) for _ in range(40)]
                await asyncio.sleep(0.002)
                kill_backends(postgresql_server, url)
                assert all(isinstance(hold, Held) for hold in await asyncio.gather(*asked))
            assert (await ledger.summary()).total.held == 201

    asyncio.run(story())
    next(database, None)


def breaking(times: int) -> Callable[[object, Statements], Transaction]:
    """Return what makes a connection usable: at first the server ends it before anything can be asked."""
    breaks = iter([psycopg.OperationalError("terminated")] * times)

    def made(connection: object, statements: Statements) -> Transaction:
        if error := next(breaks, None):
            raise error
        return transaction_on(connection, statements)

    return made


def test_a_connection_that_breaks_while_it_is_made_is_made_anew(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends it twice before anything could be asked; the third is used, and nobody hears of it."""

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            await held(ledger)
            ledger._writer._committer._disconnect()
            monkeypatch.setattr(committer, "transaction_on", breaking(2))
            await held(ledger)
            assert (await ledger.summary()).total.held == 2

    asyncio.run(story())


def kill_backends(server: str, url: str) -> None:
    """End every connection to the database, as a restarted server would."""
    name = parse_url(url).database
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


class LostReply(SqliteTransaction):
    """Commits, and then says that it could not."""

    lose = True

    def run(self, text: str, parameters: Any) -> int:
        """Run; the answer to the first COMMIT is lost."""
        changed = super().run(text, parameters)
        if text == "COMMIT" and LostReply.lose:
            LostReply.lose = False
            raise sqlite3.OperationalError("disk I/O error")
        return changed


def test_a_first_connection_that_breaks_leaves_no_writer_that_wrote_nothing(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            monkeypatch.setattr(committer, "transaction_on", breaking(1))
            await held(ledger)

    asyncio.run(story())
    engine = reader_engine(parse_url(ledger_url))
    with engine.begin() as connection:
        assert connection.execute(text("SELECT head_seq > 0 FROM ledger_writer")).scalars().all() == [True]
    engine.dispose()


@pytest.mark.parametrize("breaks", [0, 1, 2])
def test_a_commit_whose_answer_was_lost_is_not_done_twice(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: int
) -> None:
    """Also when the database cannot be asked at once what it has: it restarts, and the next connections break."""
    monkeypatch.setattr(LostReply, "lose", True)
    shutil.copy(sqlite_template, tmp_path / "ledger.db")  # others start from the template
    writing = _opened_committer(parse_url(f"sqlite:///{tmp_path}/ledger.db"), ManualClock())
    writing._connect()
    connection = writing._connection
    assert connection is not None
    transaction: Transaction = LostReply(connection.driver_connection, writing._statements)  # type: ignore[arg-type]  # it is SQLite's
    monkeypatch.setattr(writing, "_transaction", transaction)
    away = iter([sqlite3.OperationalError("unable to open database file")] * breaks)

    def made(connection: object, statements: Statements) -> Transaction:
        if error := next(away, None):
            raise error
        return transaction_on(connection, statements)

    monkeypatch.setattr(committer, "transaction_on", made)
    (first,) = writing.commit([operations.Hold(request=request("lost-reply"))])
    assert not LostReply.lose
    assert isinstance(first, Held)
    assert (first.n, first.doubted) == (1, ())
    (settled,) = writing.commit([operations.Settle(attempt_id=first.attempt_id, settlement=settlement())])
    assert settled is True
    writing.close()


def work_until_killed(url: str, told: Any) -> None:
    """Hold and settle for ever, telling of every answer. Runs in a process of its own."""

    async def story() -> None:
        ledger = await Ledger.open(url, clock=ManualClock(), commits_per_second=10_000)

        async def worker() -> None:
            while True:  # ends when it is killed
                hold = await held(ledger)
                told.send(("held", hold.attempt_id))
                if await ledger.settle(hold.attempt_id, settlement()):
                    told.send(("settled", hold.attempt_id))

        await asyncio.gather(*(worker() for _ in range(8)))

    asyncio.run(story())


@pytest.mark.kill
def test_a_killed_process_leaves_everything_that_it_told(ledger_url: str) -> None:
    processes = forking()
    here, there = processes.Pipe(duplex=False)
    victim = processes.Process(target=work_until_killed, args=(ledger_url, there))
    victim.start()
    there.close()
    told = [here.recv() for _ in range(400)]
    victim.kill()
    victim.join()
    while True:  # what was on its way; ends with the pipe
        try:
            told.append(here.recv())
        except (EOFError, OSError):
            break
    here.close()

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            total = (await ledger.summary()).total
            assert total.settled >= sum(state == "settled" for state, _ in told)
            assert total.settled + total.held >= len({attempt for _, attempt in told})
            (await ledger.audit()).raise_for_breach()

    asyncio.run(story())


def test_one_bad_operation_does_not_spoil_its_batch(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            holds = [ledger.hold(request(f"job-{n}")) for n in range(5)]
            bad = ledger.hold(request("bad", images=2**80))
            *good, error = await asyncio.gather(*holds, bad, return_exceptions=True)
            assert all(isinstance(hold, Held) for hold in good)
            assert isinstance(error, LedgerUnavailable)
            assert (await ledger.summary()).total.held == 5

    asyncio.run(story())


def test_a_ledger_that_answers_pings(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            await ledger.ping()
            hold = await held(ledger)
            await ledger.void(hold.attempt_id, ending())

    asyncio.run(story())


def test_an_answer_that_does_not_come_is_given_up_and_its_hold_is_voided(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database stands still for longer than anybody waits; then it goes on, and nothing stays held."""
    monkeypatch.setattr(writer, "ANSWER_SECONDS_MAX", 0.03)
    monkeypatch.setattr(writer, "LOOK_SECONDS", 0.01)

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            goes_on, commit = threading.Event(), ledger._writer._committer.commit

            def late(batch: Batch) -> list[object]:
                goes_on.wait(10)
                return commit(batch)

            monkeypatch.setattr(ledger._writer._committer, "commit", late)
            with pytest.raises(LedgerUnavailable, match="no answer"):
                await ledger.hold(request("job"))
            goes_on.set()
            while (await ledger.summary()).total.voided == 0:  # noqa: ASYNC110  # the database tells no event
                await asyncio.sleep(0.005)
            (attempt,) = (await ledger.attempts(["job"]))["job"]
            assert (attempt.state, attempt.error_message) == ("voided", "never called")

    asyncio.run(story())


def test_more_than_may_wait_wait_for_room(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WAITING_MAX", 4)

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            most, put = 0, ledger._writer._put

            def counted(waiting: writer.Waiting) -> None:
                nonlocal most
                most = max(most, len(ledger._writer._asked))
                put(waiting)

            monkeypatch.setattr(ledger._writer, "_put", counted)
            holds = await asyncio.gather(*(ledger.hold(request()) for _ in range(40)))
            assert len({hold.attempt_id for hold in holds if isinstance(hold, Held)}) == 40
            assert most == 4
            monkeypatch.setattr(writer, "ANSWER_SECONDS_MAX", 0.0)
            monkeypatch.setattr(writer, "WAITING_MAX", 0)
            with pytest.raises(LedgerUnavailable, match="no answer"):
                await ledger.hold(request())

    asyncio.run(story())


def test_a_step_without_work_of_its_own_cannot_be_made() -> None:
    """It would be noticed only inside the writer's transaction."""

    class Idle(operations.Step[None]):
        """Does nothing."""

    with pytest.raises(TypeError, match="perform"):
        Idle()  # type: ignore[abstract]  # the case
