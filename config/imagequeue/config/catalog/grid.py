"""Looks a figure up by quality and size, in a price or token table with `*` for every other key."""

import re
from collections.abc import Mapping
from typing import Final

from imagequeue.config.catalog.records import ANY

SIZE_PATTERN: Final = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")

Grid = Mapping[str, Mapping[str, int]]


def cell(grid: Grid, quality: str, size: str) -> int | None:
    """Return the figure for a quality and size, or None when the grid has none. The most particular entry wins."""
    for row, column in ((quality, size), (quality, ANY), (ANY, size), (ANY, ANY)):
        found = grid.get(row, {}).get(column)
        if found is not None:
            return found
    return None


def parse_size(size: str) -> tuple[int, int] | None:
    """Return width and height in pixels of `WIDTHxHEIGHT`, or None when it is not of that form."""
    match = SIZE_PATTERN.fullmatch(size)
    return (int(match[1]), int(match[2])) if match else None
