"""The books refuse to be changed, and show it when someone changed them all the same."""

import asyncio
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import ManualClock, ending, held, image, settlement
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from imagequeue.config.errors import LedgerBreach
from imagequeue.ledger import entries
from imagequeue.ledger.audit import audit, audit_queries
from imagequeue.ledger.database import parse_url, reader_engine, writer_engine
from imagequeue.ledger.entries import Entry, Head, Holding, link, link_hash
from imagequeue.ledger.ledger import Ledger

NANO = st.integers(0, 16)
HOLDING = Holding(attempt_id=1, org="main", bound_nano=10, day="2026-11-22", catalog_version="v")


async def fill(url: str) -> None:
    """Write some of everything."""
    ledger = await Ledger.open(url, clock=ManualClock())
    first, second, third, _ = [await held(ledger, job) for job in ("a", "b", "c", "d")]
    await ledger.settle(first.attempt_id, settlement(30_000_000))
    await ledger.keep("a")
    await ledger.void(second.attempt_id, ending())
    await ledger.doubt(third.attempt_id, ending())
    await ledger.aclose()


def change(url: str, *statements: str) -> None:
    """Change the database behind the ledger's back."""
    engine = writer_engine(parse_url(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def breached(url: str) -> list[str]:
    """Return the marks of what the audit finds."""
    engine = reader_engine(parse_url(url))
    with engine.begin() as connection:
        report = audit(connection)
    engine.dispose()
    return [check.mark for check in report.checks if check.breach]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entry SET amount_nano = 1",
        "DELETE FROM ledger_entry WHERE seq = 1",
        "DELETE FROM ledger_attempt",
        "UPDATE ledger_attempt SET state = 'held', usd_nano = NULL WHERE state = 'settled'",
        "UPDATE ledger_attempt SET usd_nano = 1 WHERE state = 'settled'",
        "UPDATE ledger_attempt SET state = 'reconciled', usd_nano = 0 WHERE state = 'held'",
        "UPDATE ledger_attempt SET state = 'in_doubt', upper_bound_nano = 1 WHERE state = 'held'",
    ],
)
def test_the_database_itself_refuses_to_change_the_past(ledger_url: str, statement: str) -> None:
    asyncio.run(fill(ledger_url))
    with pytest.raises(DBAPIError, match=r"append-only|keeps every attempt|resolved once"):
        change(ledger_url, statement)
    assert breached(ledger_url) == []


UNLOCK = {
    "sqlite": "DROP TRIGGER {table}_{what}",
    "postgresql": "ALTER TABLE {table} DISABLE TRIGGER USER",
}


@pytest.mark.parametrize(
    ("mark", "table", "what", "statement"),
    [
        ("L11", "ledger_entry", "no_update", "UPDATE ledger_entry SET memo = 'x' WHERE seq = 2"),
        ("L11", "ledger_entry", "no_delete", "DELETE FROM ledger_entry WHERE kind = 'correction'"),
        ("L1", "ledger_entry", "no_update", "UPDATE ledger_entry SET amount_nano = amount_nano + 1 WHERE seq = 1"),
        ("L4", "ledger_entry", "no_delete", "DELETE FROM ledger_entry WHERE kind = 'void'"),
        ("L1", "ledger_attempt", "path", "UPDATE ledger_attempt SET usd_nano = 1 WHERE state = 'settled'"),
        ("L5", "ledger_balance", "", "UPDATE ledger_balance SET used_nano = used_nano - 1 WHERE scope LIKE 'org:%'"),
        ("L7", "ledger_rollup", "", "UPDATE ledger_rollup SET images = images + 1"),
        ("L7", "ledger_outcome", "", "DELETE FROM ledger_outcome WHERE job_id = 'a'"),
        ("L12", "ledger_attempt", "path", "UPDATE ledger_attempt SET catalog_version = 'other' WHERE state = 'held'"),
    ],
)
def test_the_audit_names_what_was_changed(ledger_url: str, mark: str, table: str, what: str, statement: str) -> None:
    async def corrected() -> None:
        await fill(ledger_url)
        ledger = await Ledger.open(ledger_url, clock=ManualClock())
        assert await ledger.correct("main", "2026-11-22", -5, model="dall-e-3", reason="credit note", source="s")
        await ledger.aclose()

    asyncio.run(corrected())
    assert breached(ledger_url) == []
    kind = parse_url(ledger_url).get_backend_name()
    names = {"table": table, "what": what}
    unlock = [UNLOCK[kind].format(**names)] if what else []
    relock = [f"ALTER TABLE {table} ENABLE TRIGGER USER"] if what and kind == "postgresql" else []
    change(ledger_url, *unlock, statement, *relock)
    assert mark in breached(ledger_url)


def test_the_audit_names_missing_triggers(ledger_url: str) -> None:
    asyncio.run(fill(ledger_url))
    kind = parse_url(ledger_url).get_backend_name()
    if kind == "sqlite":
        change(ledger_url, "DROP TRIGGER ledger_entry_no_update", "DROP TRIGGER ledger_entry_no_delete")
    else:
        change(ledger_url, "ALTER TABLE ledger_entry DISABLE TRIGGER USER")
    assert breached(ledger_url) == ["L2"]


def test_an_audit_without_breach_raises_nothing_and_one_with_breach_does(ledger_url: str) -> None:
    async def story() -> None:
        await fill(ledger_url)
        ledger = await Ledger.open(ledger_url, clock=ManualClock())
        report = await ledger.audit()
        report.raise_for_breach()
        assert report.as_json()["ok"] is True
        assert {check.mark for check in report.checks} == {"L1", "L2", "L3", "L4", "L5", "L7", "L11", "L12"}
        assert all(
            check.checked
            for check in report.checks
            if not {"credit", "credits", "tags", "hand"} & {*check.states.split()}
        )
        assert any("in_doubt" in note for note in report.notes)
        change(ledger_url, "UPDATE ledger_balance SET used_nano = 0")
        with pytest.raises(LedgerBreach, match="L5"):
            (await ledger.audit()).raise_for_breach()
        await ledger.aclose()

    asyncio.run(story())


def test_every_flipped_byte_of_the_entries_is_found(sqlite_template: Path, tmp_path: Path) -> None:
    """Whatever field of whatever entry is changed, the chain breaks there."""
    shutil.copy(sqlite_template, tmp_path / "ledger.db")
    url = f"sqlite:///{tmp_path}/ledger.db"
    asyncio.run(fill(url))
    change(url, "DROP TRIGGER ledger_entry_no_update")
    for column, value in {
        "attempt_id": "attempt_id + 1",
        "kind": "'void'",
        "debit": "debit || 'x'",
        "credit": "credit || 'x'",
        "amount_nano": "amount_nano + 1",
        "day": "'2026-11-23'",
        "at_us": "at_us + 1",
        "catalog_version": "catalog_version || ' '",
        "memo": "memo || ' '",
        "hash": "replace(hash, substr(hash, 1, 1), 'x')",
    }.items():
        before = "CREATE TEMP TABLE kept AS SELECT * FROM ledger_entry WHERE seq = 3"
        engine = writer_engine(parse_url(url))
        with engine.connect() as connection:
            connection.execute(text(before))
            connection.execute(text(f"UPDATE ledger_entry SET {column} = {value} WHERE seq = 3"))  # noqa: S608  # above
            chain = next(check for check in audit(connection).checks if check.mark == "L11")
            connection.rollback()
        engine.dispose()
        assert str(chain.breach).endswith(", entry 3: changed, taken out or put in"), column


def test_every_audit_query_has_a_mark_and_says_what_holds() -> None:
    queries = audit_queries()
    assert len(queries) == 11
    for mark, states, counted, query in queries:
        assert mark.startswith("L")
        assert states
        assert counted.startswith("ledger_")
        assert "SELECT" in query


@given(bound=NANO, cost=NANO, doubted=st.booleans())
def test_entries_of_an_attempt_leave_nothing_held_and_exactly_its_cost_spent(
    bound: int,
    cost: int,
    doubted: bool,  # noqa: FBT001  # drawn by hypothesis
) -> None:
    holding = Holding(attempt_id=1, org="main", bound_nano=bound, day="2026-11-22", catalog_version="v")
    book = entries.hold(holding)
    book += entries.doubt(holding) + entries.reconcile(holding, cost, "r") if doubted else entries.settle(holding, cost)
    accounts = sums(book)
    assert accounts.get("held:main", 0) == accounts.get("doubt:main", 0) == 0
    assert accounts.get("spent:main", 0) == cost
    assert sum(accounts.values()) == 0
    assert all(entry.amount_nano >= 0 and entry.debit != entry.credit for entry in book)


@given(bound=NANO)
def test_a_void_undoes_its_hold(bound: int) -> None:
    holding = Holding(attempt_id=1, org="main", bound_nano=bound, day="2026-11-22", catalog_version="v")
    assert set(sums(entries.hold(holding) + entries.void(holding)).values()) == {0}


@given(st.integers(-16, 16))
def test_a_correction_moves_what_was_spent_by_its_amount(usd_nano: int) -> None:
    assert sums(entries.correction("main", "2026-11-22", usd_nano, "r")).get("spent:main", 0) == usd_nano


def sums(book: list[Entry]) -> dict[str, int]:
    """Return what each account holds."""
    accounts: dict[str, int] = {}
    for entry in book:
        accounts[entry.debit] = accounts.get(entry.debit, 0) + entry.amount_nano
        accounts[entry.credit] = accounts.get(entry.credit, 0) - entry.amount_nano
    return accounts


def test_links_depend_on_everything_before_them() -> None:
    book = entries.hold(HOLDING) + entries.settle(HOLDING, 4)
    straight = link(Head(writer_id=1), book, 5)
    first = link(Head(writer_id=1), book[:1], 5)
    rest = link(Head(writer_id=1, seq=1, hash=first[0].hash), book[1:], 5)
    assert straight == first + rest
    assert link(Head(writer_id=1), book[1:], 5)[0].hash != straight[1].hash
    assert link(Head(writer_id=2), book, 5)[0].hash != straight[0].hash


def test_images_are_the_ones_that_were_stored() -> None:
    from imagequeue.ledger.rows import images_json, images_of

    assert images_of(images_json((image(), image("cd" * 32)))) == (image(), image("cd" * 32))


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 2**53), st.none() | st.integers(0, 2**53))
def test_a_hash_is_that_of_the_fields_as_a_json_list(
    memo: str, account: str, amount: int, attempt_id: int | None
) -> None:
    of = Entry(
        kind="settle",
        debit=account,
        credit="held:main",
        amount_nano=amount,
        day="2026-11-22",
        attempt_id=attempt_id,
        catalog_version=memo,
        memo=memo,
    )
    fields = ["ab", 7, 3, 9, attempt_id, "settle", account, "held:main", amount, "2026-11-22", memo, memo]
    text = json.dumps(fields, separators=(",", ":"))
    assert link_hash("ab", 7, 3, 9, of) == hashlib.sha256(text.encode()).hexdigest()
