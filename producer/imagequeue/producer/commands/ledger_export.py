"""Writes exported rows as CSV, JSON lines or Parquet, one after the other."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, TextIO

from sqlalchemy import Connection

from imagequeue.config.errors import ImageQueueError
from imagequeue.ledger.export import (
    ATTEMPT_COLUMNS,
    ENTRY_COLUMNS,
    FlatRow,
    export_attempts,
    export_entries,
    readable_names,
)
from imagequeue.producer.commands.ledger_parquet import write_parquet

FORMATS: Final = ("csv", "jsonl", "parquet")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a spreadsheet would take for a formula


def export_to(
    output: Path | None, kind: str, *, entries: bool, since: datetime | None, until: datetime | None
) -> Callable[[Connection], int]:
    """Return the report that writes the rows and returns how many there were."""

    def report(connection: Connection) -> int:
        columns = ENTRY_COLUMNS if entries else ATTEMPT_COLUMNS
        # Closed here: a reader that goes away (`| head`) would leave them to be closed after their connection.
        with closing((export_entries if entries else export_attempts)(connection, since, until)) as rows:
            if kind == "parquet":
                return write_parquet(output, columns, rows)
            with _opened(output) as file:
                return _write_csv(file, columns, rows) if kind == "csv" else _write_lines(file, rows)

    return report


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise ImageQueueError(f"output: cannot write {output}: {error.strerror}") from error


def _write_lines(file: TextIO, rows: Iterator[FlatRow]) -> int:
    return sum(file.write(json.dumps(dict(row), ensure_ascii=False) + "\n") > 0 for row in rows)


def _write_csv(file: TextIO, columns: tuple[str, ...], rows: Iterator[FlatRow]) -> int:
    writer = csv.writer(file)
    writer.writerow(readable_names(columns))
    return sum(writer.writerow([_cell(value) for value in row.values()]) > 0 for row in rows)


def _cell(value: object) -> object:
    """Return the value, text that looks like a formula with an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) and not _is_amount(value) else value


def _is_amount(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal()
