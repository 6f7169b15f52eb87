"""The text of a picture as dots on a coarse grid of 8 by 8 pixel cells, for the formats that are drawn in cells."""

import textwrap
from dataclasses import dataclass
from typing import Final

from imagequeue.simulator import font
from imagequeue.simulator.picture import Picture

CELL_PIXELS: Final = 8  # the size of a JPEG block, and of what one packed WebP byte covers
LINES_MAX: Final = 8


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A picture in cells: `text` are the upper rows, one byte a cell, 1 for a dot; the rest is background."""

    width: int
    height: int
    columns: int
    rows: int
    text: tuple[bytes, ...]
    name: str
    transparent: bool


def grid_of(picture: Picture) -> Grid:
    """Return the picture's cells; lines of text that do not fit are left out."""
    columns, rows = -(-picture.width // CELL_PIXELS), -(-picture.height // CELL_PIXELS)
    letters = max(2, columns // font.COLUMNS)
    said = f"{font.plain(picture.caption)} {font.plain(picture.title)}"
    lines = textwrap.wrap(said, letters, max_lines=LINES_MAX, placeholder="..") if letters > len("..") else [said]
    dots = [row for line in lines for row in font.line(line, width=columns, scale=1, ink=1, paper=0)]
    return Grid(
        width=picture.width,
        height=picture.height,
        columns=columns,
        rows=rows,
        text=tuple(dots[: max(0, rows - 1)]),
        name=said,
        transparent=picture.transparent,
    )
