"""Commits batches on one connection, whatever becomes of the connection.

Every transaction moves this writer's head in `ledger_writer`. When the answer to a COMMIT is lost, the head tells
whether it took place, so nothing is booked twice and nothing booked is taken for lost.
"""

import os
import socket
import sqlite3
import time
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple, TypedDict, cast

import psycopg
from sqlalchemy import Engine, PoolProxiedConnection, insert
from sqlalchemy.exc import DBAPIError

from imagequeue.config.clock import Clock
from imagequeue.config.errors import ImageQueueError, LedgerBreach, LedgerUnavailable
from imagequeue.ledger.apply import Batch, apply
from imagequeue.ledger.entries import Head
from imagequeue.ledger.held import HeldAttempts
from imagequeue.ledger.moments import microseconds
from imagequeue.ledger.schema import writer
from imagequeue.ledger.statements import statements_for
from imagequeue.ledger.transaction import Transaction, transaction_on
from imagequeue.ledger.unit import Conflict, Unit

TRIES_MAX: Final = 3
PAUSE_SECONDS: Final = 0.05  # before the second try; four times as long before each further one
IDS_PER_WRITER: Final = 2**32  # leaves two million writers below 2**53, which JavaScript still counts exactly
UNREACHABLE: Final = (
    sqlite3.OperationalError,
    psycopg.OperationalError,  # deadlocks and failed serialization too
    psycopg.InterfaceError,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """How far this writer has come: transactions committed, and the head of its chain."""

    batches: int
    head: Head


class Begun(NamedTuple):
    """A transaction whose end is not known yet: how many were committed before it, and its answers if it was."""

    batches: int
    answers: list[object]


class HeadColumns(TypedDict):
    """Part of a row of `ledger_writer`."""

    batches: int
    head_seq: int
    head_hash: str


class Committer:
    """The one writing connection of a process, used by one thread; it is opened by the first commit."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._statements = statements_for(engine.dialect.name)
        self._connection: PoolProxiedConnection | None = None
        self._transaction: Transaction | None = None
        self._position = Position(batches=0, head=Head(writer_id=0))
        self._numbers = count(1)
        self._held = HeldAttempts()

    def close(self) -> None:
        """Give the connection up."""
        self._disconnect()
        self._engine.dispose()

    def commit(self, batch: Batch) -> list[object]:
        """Return the answers in order, after the commit; an exception among them is that operation's answer."""
        try:
            return self._commit(batch)
        except ImageQueueError as error:
            return [error] * len(batch)
        except Exception as error:  # the boundary of the writer: the error is each caller's answer
            if len(batch) > 1:  # one of them is the cause: each on its own, so that the others are booked
                return [self.commit([operation])[0] for operation in batch]
            return [LedgerUnavailable(f"ledger: {one_line(error)}")]

    def _commit(self, batch: Batch) -> list[object]:
        begun: Begun | None = None
        for tried in range(TRIES_MAX):
            try:
                if self._connection is None:
                    self._connect()
                if begun is not None and self._has_committed(begun):  # which could not be asked before
                    return begun.answers
                begun = Begun(batches=self._position.batches, answers=[])
                self._transact(batch, begun.answers, trusting=tried == 0)
            except (*UNREACHABLE, DBAPIError) as error:
                if begun is not None and self._took_place(begun):
                    return begun.answers
                if tried + 1 == TRIES_MAX:
                    raise LedgerUnavailable(f"ledger: {one_line(error)}") from error
                time.sleep(PAUSE_SECONDS * 4**tried)
            except (Conflict, sqlite3.IntegrityError, psycopg.IntegrityError):
                if tried + 1 == TRIES_MAX:
                    raise
            else:
                return begun.answers
        raise AssertionError("the last try returns or raises")

    def _transact(self, batch: Batch, answers: list[object], *, trusting: bool) -> None:
        transaction = cast("Transaction", self._transaction)
        transaction.begin()
        unit = Unit(
            transaction=transaction,
            now_us=microseconds(self._clock.now()),
            next_id=self._next_id,
            held=self._held.rows if trusting else {},
        )
        try:
            after = self._work(unit, batch, answers, trusting=trusting)
        except BaseException:
            self._roll_back(transaction)
            raise
        transaction.run("ROLLBACK" if after is None else "COMMIT", {})
        if after is not None:
            self._position = Position(batches=self._position.batches + 1, head=after)
            self._held.note(unit.attempts, unit.resolutions)

    def _work(self, unit: Unit, batch: Batch, answers: list[object], *, trusting: bool) -> Head | None:
        answers[:] = apply(unit, batch, trusting=trusting)
        return unit.write(self._position.head, self._position.batches)

    def _next_id(self) -> int:
        return self._position.head.writer_id * IDS_PER_WRITER + next(self._numbers)

    def _roll_back(self, transaction: Transaction) -> None:
        try:
            transaction.run("ROLLBACK", {})
        except (sqlite3.Error, psycopg.Error):
            self._disconnect()  # which rolls back as well

    def _took_place(self, begun: Begun) -> bool:
        """Return whether a transaction was committed although its answer was lost."""
        self._disconnect()
        try:
            self._connect()
        except (*UNREACHABLE, DBAPIError):
            return False  # the next connection tells
        return self._has_committed(begun)

    def _has_committed(self, begun: Begun) -> bool:
        return self._position.batches == begun.batches + 1

    def _connect(self) -> None:
        """Open the connection, or leave none: one that breaks while it is made is of no use to the next try."""
        if not self._position.head.writer_id:
            self._position = Position(batches=0, head=Head(writer_id=self._register()))
        connection = self._engine.raw_connection()
        try:
            transaction = transaction_on(connection.driver_connection, self._statements)
            self._position = _position(transaction, self._position.head.writer_id)
        except BaseException:
            connection.invalidate()
            raise
        self._connection, self._transaction = connection, transaction

    def _register(self) -> int:
        """Return the number of a new writer, with a chain of its own."""
        row = {
            "host": socket.gethostname(),
            "process_id": os.getpid(),
            "started_at_us": microseconds(self._clock.now()),
        }
        with self._engine.begin() as connection:
            writer_id: int = connection.execute(insert(writer).values(row).returning(writer.c.id)).scalar_one()
        return writer_id

    def _disconnect(self) -> None:
        connection, self._connection, self._transaction = self._connection, None, None
        if connection is not None:
            connection.invalidate()


def _position(transaction: Transaction, writer_id: int) -> Position:
    found = cast("list[HeadColumns]", transaction.rows(transaction.statements.head, {"of": writer_id}))
    if not found:
        raise LedgerBreach(f"ledger: writer {writer_id} is gone from the database; was it restored from a copy?")
    head = Head(writer_id=writer_id, seq=found[0]["head_seq"], hash=found[0]["head_hash"])
    return Position(batches=found[0]["batches"], head=head)


def one_line(error: Exception) -> str:
    """Return an error's first line, which holds no parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"
