"""Which commands are installed: every part of the product, and any package beside it, brings its own by entry point."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import typer

GROUP = "imagequeue.commands"


@dataclass(frozen=True, kw_only=True)
class BrokenPart:
    """A part whose commands cannot be used, and why in one line."""

    name: str
    reason: str


def installed_parts() -> list[EntryPoint]:
    """Return the entry points of all commands by name; none is loaded."""
    return sorted(entry_points(group=GROUP), key=lambda part: part.name)


def parts_for(word: str, parts: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Return the part that is named like the command asked for, or all: loading one alone starts much faster."""
    everything = list(parts)
    return [part for part in everything if part.name == word] or everything


def register_parts(app: typer.Typer, parts: Iterable[EntryPoint]) -> list[BrokenPart]:
    """Add every part's commands to the application; return those that could not be, which harms no other."""
    return [broken for part in parts if (broken := _register(app, part)) is not None]


def _register(app: typer.Typer, part: EntryPoint) -> BrokenPart | None:
    try:
        part.load()(app)
    except Exception as error:  # whatever a part does when loaded, the others work; main reports it
        return BrokenPart(name=part.name, reason=f"{type(error).__name__}: {' '.join(str(error).split())}")
    return None
