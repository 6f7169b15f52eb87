"""What every command prints: JSON for programs, tables for people. Nothing that came from outside moves the cursor."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imagequeue.config.clock import iso

Cell = str | Text
"""One cell of a table; a Text brings its own style."""

PIPE_COLUMNS = 10_000  # a program that reads the table gets whole cells


def print_json(value: object) -> None:
    """Print one JSON document. Dataclasses become objects, moments ISO 8601 in UTC, decimals strings."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def print_json_line(value: object) -> None:
    """Print one JSON document on one line, for streams of them."""
    typer.echo(json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: Sequence[str] = (), title: str | None = None
) -> None:
    """Print a table; the columns named in `right` hold figures. Cells are shown as they are, never as markup."""
    table = Table(
        title=None if title is None else Text(printable(title)), title_justify="left", box=None, pad_edge=False
    )
    for column in columns:
        table.add_column(Text(column), justify="right" if column in right else "left", header_style="bold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
    _console().print(table)


def print_line(text: str, *, style: str = "") -> None:
    """Print one line of text."""
    _console().print(Text(printable(text), style=style), soft_wrap=True)


def print_error(text: str) -> None:
    """Print one line on standard error, as every error of a command is."""
    typer.echo(f"imagequeue: {printable(' '.join(text.split()))}", err=True)


def printable(text: str) -> str:
    """Return the text with what a terminal would act on, instead of show, replaced."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _console() -> Console:
    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    return Console(highlight=False, markup=False, emoji=False, width=width)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
