"""Exports: documented columns, exact values in every format, cells that no spreadsheet runs, constant memory."""

import asyncio
import builtins
import csv
import json
import tracemalloc
from collections.abc import Generator
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import ManualClock, ending, held, opened, settlement
from sqlalchemy import Connection, text

from imagequeue.ledger import export
from imagequeue.ledger.database import parse_url, reader_engine, writer_engine
from imagequeue.ledger.export import ATTEMPT_COLUMNS, ENTRY_COLUMNS, export_attempts, readable_names
from imagequeue.ledger.schema import attempt, entry
from imagequeue.producer.commands.ledger_export import FORMULA, _cell, export_to
from imagequeue.producer.main import run
from imagequeue.producer.registry import installed_parts

DOCS = Path(__file__).parents[2] / "docs" / "ledger.md"
HOSTILE = '=HYPERLINK("http://x")'


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose ledger, which the commands find, has a settled, a voided and an open attempt."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEQUEUE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("IMAGEQUEUE_DATA_DIR", str(tmp_path / "data"))

    async def story() -> None:
        async with opened(f"sqlite:///{tmp_path}/ledger.db", ManualClock()) as ledger:
            settled = await held(ledger, "a", tags={"k": "v"}, intent=HOSTILE)
            await ledger.settle(settled.attempt_id, settlement(12_345_678_901))
            await ledger.void((await held(ledger, "b")).attempt_id, ending(error_message='@evil,\n"quoted"'))
            await held(ledger, "c")

    asyncio.run(story())
    return tmp_path


def command(*arguments: str) -> int:
    """Return the exit code of `imagequeue ledger export ...`."""
    return run(["ledger", "export", *arguments], {}, installed_parts())


def test_the_columns_are_all_of_the_table_and_those_that_are_documented() -> None:
    assert set(ATTEMPT_COLUMNS) == set(attempt.c.keys())
    assert set(ENTRY_COLUMNS) == set(entry.c.keys())
    page = DOCS.read_text("utf-8")
    for columns in (ATTEMPT_COLUMNS, ENTRY_COLUMNS):
        assert ", ".join(f"`{name}`" for name in readable_names(columns)) in page.replace("\n", " ")


def test_every_format_says_the_same(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pyarrow import parquet

    for kind in ("csv", "jsonl", "parquet"):
        assert command("--format", kind, "--output", str(exported / kind)) == 0
    assert "3 rows" in capsys.readouterr().err
    rows = list(csv.DictReader(StringIO((exported / "csv").read_text("utf-8"))))
    lines = [json.loads(line) for line in (exported / "jsonl").read_text("utf-8").splitlines()]
    table = parquet.read_table(exported / "parquet").to_pylist()
    assert tuple(rows[0]) == tuple(lines[0]) == tuple(table[0]) == readable_names(ATTEMPT_COLUMNS)
    assert [row["usd"] for row in rows] == ["12.345678901", "0.000000000", ""]
    assert [line["usd"] for line in lines] == ["12.345678901", "0.000000000", None]
    assert [row["usd"] for row in table] == [Decimal("12.345678901"), Decimal("0E-9"), None]
    assert table[0]["held_at"] == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert (rows[0]["intent"], lines[0]["intent"], table[0]["intent"]) == ("'" + HOSTILE, HOSTILE, HOSTILE)
    assert rows[1]["error_message"] == '\'@evil,\n"quoted"'


def test_entries_go_to_parquet_too(exported: Path) -> None:
    from pyarrow import parquet

    assert command("--entries", "--format", "parquet", "--output", str(exported / "entries")) == 0
    table = parquet.read_table(exported / "entries")
    assert tuple(table.column_names) == readable_names(ENTRY_COLUMNS)
    assert {row["kind"] for row in table.to_pylist()} == {"hold", "settle", "overrun", "void"}


def test_an_export_without_rows_has_its_columns(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exported.is_dir()
    assert command("--since", "2030-01-01") == 0
    assert capsys.readouterr().out.strip() == ",".join(readable_names(ATTEMPT_COLUMNS))


def test_parquet_needs_a_file_and_its_library(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--format", "parquet") == 2
    assert "output" in capsys.readouterr().err
    imported = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return imported(name, *rest)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(builtins, "__import__", without)
    assert command("--format", "parquet", "--output", str(exported / "x")) == 1
    error = capsys.readouterr().err
    assert "pip install 'imagequeue[parquet]'" in error
    assert len(error.splitlines()) == 1


@given(st.text(max_size=6), st.sampled_from(("", *FORMULA)))
def test_no_cell_begins_like_a_formula_unless_it_is_a_number(tail: str, head: str) -> None:
    cell = str(_cell(head + tail))
    assert not cell.startswith(FORMULA) or cell.removeprefix("-").replace(".", "", 1).isdecimal()
    assert cell.removeprefix("'") == (head + tail).removeprefix("'")


def test_an_export_holds_no_more_than_a_few_rows_in_memory(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five times the rows take as much memory."""
    monkeypatch.setattr(export, "ROWS_PER_READ", 1_000)
    path = tmp_path / "ledger.db"
    path.write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{path}"

    async def first() -> None:
        async with opened(url) as ledger:
            await ledger.void((await held(ledger, "a")).attempt_id, ending(error_message="x" * 200))

    asyncio.run(first())
    peaks = []
    for count in (1_000, 5_000):
        multiply(url, count)
        engine = reader_engine(parse_url(url))
        tracemalloc.start()
        with engine.begin() as connection:
            assert export_to(tmp_path / "out", "csv", entries=False, since=None, until=None)(connection) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        engine.dispose()
    assert peaks[1] < peaks[0] * 1.5


def multiply(url: str, count: int) -> None:
    """Copy the one attempt until there are `count`."""
    names = ", ".join(name for name in ATTEMPT_COLUMNS if name not in ("id", "job_id"))
    engine = writer_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 1 + count(*) FROM ledger_attempt UNION ALL "  # noqa: S608  # our own names
                f"SELECT i + 1 FROM n WHERE i < :count) INSERT INTO ledger_attempt (id, job_id, {names}) "
                f"SELECT -n.i, 'job' || n.i, {names} FROM n, (SELECT * FROM ledger_attempt LIMIT 1)"
            ),
            {"count": count},
        )
    engine.dispose()


def test_rows_come_in_the_order_of_their_attempts(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            for job in ("c", "a", "b"):
                await held(ledger, job)
            rows = await ledger.read(lambda connection: list(export_attempts(connection)))
            assert [row["job_id"] for row in rows] == ["c", "a", "b"]

    asyncio.run(story())


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_reader_that_goes_away_ends_the_export_before_its_connection(
    exported: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """As `| head -1` does: the rows are not left for the garbage collector, which would print what it meets."""

    class Gone(StringIO):
        def write(self, text: str, /) -> int:
            if "settled" in text:
                raise BrokenPipeError
            return super().write(text)

    closed = []

    def rows(
        connection: Connection, since: datetime | None, until: datetime | None
    ) -> Generator[export.FlatRow, None, None]:
        try:
            yield from export_attempts(connection, since, until)
        finally:
            closed.append(connection.closed)

    monkeypatch.setattr("sys.stdout", Gone())
    monkeypatch.setattr("imagequeue.producer.commands.ledger_export.export_attempts", rows)
    engine = reader_engine(parse_url(f"sqlite:///{exported}/ledger.db"))
    with engine.connect() as connection, pytest.raises(BrokenPipeError):
        export_to(None, kind, entries=False, since=None, until=None)(connection)
    engine.dispose()
    assert closed == [False]
