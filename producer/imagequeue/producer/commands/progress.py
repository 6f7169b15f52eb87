"""How far a number of jobs has come, as a command shows it while it waits: a bar for people, lines for a log."""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from imagequeue.producer.commands.words import dollars
from imagequeue.queue.views import JobView

LOG_SECONDS: Final = 5.0
"""How often a line is written where no terminal shows the bar."""


class Bar(Protocol):
    """Shows how much of something is done."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, done: int, note: str = "") -> None:
        """Show that so many are done."""
        ...


def bar(title: str, total: int | None) -> Bar:
    """Return a bar on standard error: standard output is for results."""
    return _TerminalBar(title, total) if sys.stderr.isatty() else _LogBar(title, total)


class _TerminalBar:
    def __init__(self, title: str, total: int | None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(title, total=total, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, done: int, note: str = "") -> None:
        self._progress.update(self._task, completed=done, note=note)


class _LogBar:
    def __init__(self, title: str, total: int | None) -> None:
        self._title = title
        self._of = "" if total is None else f" of {total:,}"
        self._written_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, done: int, note: str = "") -> None:
        if time.monotonic() - self._written_at >= LOG_SECONDS:
            self._written_at = time.monotonic()
            sys.stderr.write(f"{self._title} {done:,}{self._of}  {note}\n")


@dataclass(kw_only=True)
class Tally:
    """What became of jobs so far."""

    statuses: Counter[str] = field(default_factory=Counter)
    usd_nano: int = 0
    images: int = 0

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.statuses.total()

    def add(self, view: JobView) -> None:
        """Count a job that has ended."""
        self.statuses[view.status] += 1
        self.usd_nano += view.usd_nano
        self.images += len(view.images)

    def describe(self) -> str:
        """Return it in words, e.g. `98 succeeded, 2 failed, $3.92`."""
        parts = [f"{count:,} {status}" for status, count in self.statuses.most_common()]
        return ", ".join([*parts, f"${dollars(self.usd_nano)}"])
