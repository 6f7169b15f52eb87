"""The live picture of the demonstration: what each priority has done, the pace against the ceiling, the cost. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from imagequeue.producer.commands.words import dollars

BAR_WIDTH: Final = 44
SPARKS: Final = "▁▂▃▄▅▆▇█"
SPARKS_MAX: Final = 40
STYLES: Final = {"high": "red", "default": "cyan", "low": "green"}


@dataclass(frozen=True, kw_only=True)
class PriorityFrame:
    """One priority at one moment, in jobs."""

    priority: str
    total: int
    queued: int
    running: int
    waiting: int

    @property
    def done(self) -> int:
        """Jobs that have ended."""
        return max(self.total - self.queued - self.running - self.waiting, 0)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Everything at one moment. Rates are images per second; `starts` are those of each second so far."""

    seconds: float
    priorities: tuple[PriorityFrame, ...]
    starts: tuple[int, ...]
    pace: float
    ceiling: float
    refused: int
    in_doubt: int
    nano_usd: int
    note: str

    @property
    def total(self) -> int:
        """Jobs in all."""
        return sum(line.total for line in self.priorities)

    @property
    def done(self) -> int:
        """Jobs that have ended."""
        return sum(line.done for line in self.priorities)

    @property
    def in_flight(self) -> int:
        """Calls that are being made."""
        return sum(line.running for line in self.priorities)

    @property
    def rate_now(self) -> float:
        """Starts in the last full second."""
        return float(self.starts[-2]) if len(self.starts) > 1 else float(sum(self.starts))


def line(frame: Frame) -> str:
    """Return a moment on one line, for logs."""
    return (
        f"{frame.seconds:5.1f} s  {frame.done:,} of {frame.total:,} done  {frame.in_flight:,} in flight  "
        f"{frame.rate_now:.0f}/s of {frame.ceiling:.1f}/s  429s {frame.refused}  in doubt {frame.in_doubt}  "
        f"${dollars(frame.nano_usd)}  {frame.note}"
    ).rstrip()


def drawn(frame: Frame) -> RenderableType:
    """Return a moment as it is shown in a terminal."""
    bars = Table.grid(padding=(0, 2))
    bars.add_column(width=8)
    for _ in range(2):
        bars.add_column()
    for part in frame.priorities:
        bars.add_row(Text(part.priority, style=STYLES[part.priority]), _bar(part), _counts(part))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(width=8, style="bold")
    facts.add_column()
    facts.add_row("pace", _pace(frame))
    facts.add_row("calls", _calls(frame))
    facts.add_row("cost", Text(f"${dollars(frame.nano_usd)}", style="bold"))
    facts.add_row("", Text(frame.note, style="bright_black"))
    title = Text(f"{frame.done:,} of {frame.total:,} jobs done after {frame.seconds:.0f} s", style="bold")
    return Group(Text(""), title, Text(""), bars, Text(""), facts)


def _bar(part: PriorityFrame) -> Text:
    """Done, running and queued as one bar."""
    whole = max(part.total, 1)
    done = round(BAR_WIDTH * part.done / whole)
    running = min(round(BAR_WIDTH * part.running / whole), BAR_WIDTH - done)
    bar = Text("█" * done, style=STYLES[part.priority])
    bar.append("▒" * running, style=STYLES[part.priority])
    return bar.append("·" * (BAR_WIDTH - done - running), style="bright_black")


def _counts(part: PriorityFrame) -> Text:
    waiting = f"  {part.waiting} waiting" if part.waiting else ""
    return Text(f"{part.done:>5,} of {part.total:,}   {part.queued:,} queued{waiting}")


def _pace(frame: Frame) -> Text:
    text = Text(f"{frame.rate_now:5.0f} images/s of {frame.ceiling:.1f} allowed, {frame.pace:.0f} aimed at   ")
    return text.append(sparks(frame.starts[:-1], frame.ceiling), style="cyan")


def _calls(frame: Frame) -> Text:
    text = Text(f"{frame.in_flight:5,} in flight   ")
    text.append(f"{frame.refused} refused (429)", style="yellow" if frame.refused else "")
    return text.append(f"   {frame.in_doubt} in doubt", style="yellow" if frame.in_doubt else "")


def sparks(values: Sequence[int], most: float) -> str:
    """Return a row of small columns, the highest for `most` and above."""
    steps = len(SPARKS) - 1
    return "".join(SPARKS[min(round(steps * value / most), steps)] for value in values[-SPARKS_MAX:])
