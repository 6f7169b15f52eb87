"""A picture in the terminal that is drawn anew in place; in a log it is written out each time."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich import live
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from imagequeue.producer.commands.output import print_line, print_table, printable
from imagequeue.producer.commands.status_view import Section


class Live:
    """Shows a headline, tables and notes, each time in place of the last."""

    def __init__(self) -> None:
        console = Console(highlight=False, markup=False, emoji=False)
        self._live = live.Live(console=console, auto_refresh=False) if sys.stdout.isatty() else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, headline: str, tables: Sequence[Section], notes: Sequence[str] = ()) -> None:
        """Draw it."""
        if self._live is not None:
            self._live.update(_drawn(headline, tables, notes), refresh=True)
            return
        print_line(headline)
        for table in tables:
            print_table(table.columns, table.rows, right=table.right)
        for note in notes:
            print_line(note)


def _drawn(headline: str, tables: Sequence[Section], notes: Sequence[str]) -> RenderableType:
    parts: list[RenderableType] = [Text(printable(headline), style="bold")]
    for table in tables:
        parts += [Text(""), drawn_table(table)]
    parts += [Text(printable(note), style="yellow") for note in notes]
    return Group(*parts)


def drawn_table(section: Section) -> Table:
    """Return a section as rich draws it."""
    table = Table(box=None, pad_edge=False)
    for column in section.columns:
        table.add_column(Text(column), justify="right" if column in section.right else "left", header_style="bold")
    for row in section.rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
    return table
