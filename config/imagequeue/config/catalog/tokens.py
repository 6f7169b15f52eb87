"""How many output tokens one image costs, and upper bounds where the provider picks. Pure."""

from typing import Final

from imagequeue.config.catalog.grid import Grid, cell, parse_size
from imagequeue.config.catalog.records import ANY, AUTO, Model

LARGEST_PIXELS: Final = (3840, 2160)
"""Stands for a size that is not WIDTHxHEIGHT in the formula: the largest that a known model makes."""


def formula_tokens(width: int, height: int, long_cells: int) -> int:
    """Return the output tokens of one image of gpt-image-2 and later, from its size in pixels.

    `long_cells` is the model's grid figure for the quality. The formula was read from two re-implementations of the
    calculator in OpenAI's docs; it gives all nine published prices of gpt-image-2 and thirty third-party ones of 2.5.
    """
    long, short = max(width, height), min(width, height)
    short_cells = (2 * long_cells * short + long) // (2 * long)
    return -(-long_cells * short_cells * (2_000_000 + width * height) // 4_000_000)


def output_tokens(model: Model, *, size: str | None, quality: str | None) -> int:
    """Return the output tokens of one image; 0 for a model priced per image.

    For size or quality `auto` this is the dearest that the provider could pick. ValueError when the model has no
    figure for the pair (check_job refuses such a job before).
    """
    if model.priced_by == "image":
        return 0
    return max(
        _tokens(model, quality_, size_) for quality_ in qualities_of(model, quality) for size_ in sizes_of(model, size)
    )


def output_tokens_max(model: Model) -> int:
    """Return the output tokens of the dearest quality at the dearest listed size."""
    return output_tokens(model, size=AUTO, quality=AUTO)


def sizes_of(model: Model, size: str | None) -> list[str]:
    """Return the sizes that may come of asking for `size`: itself, or for `auto` every listed one."""
    chosen = model.api_size(size)
    if chosen != AUTO:
        return [chosen]
    listed = [listed for listed in model.accepts.sizes if listed != AUTO]
    return (
        listed
        if ANY not in listed
        else [*listed, *(size_ for grid in _grids(model) for row in grid.values() for size_ in row)]
    )


def qualities_of(model: Model, quality: str | None) -> list[str]:
    """Return the qualities that may come of asking for `quality`: itself, or for `auto` every listed one."""
    chosen = model.api_quality(quality)
    if chosen is not None and chosen != AUTO:
        return [chosen]
    listed = [listed for listed in model.accepts.qualities if listed != AUTO] or [ANY]
    return (
        listed
        if ANY not in listed
        else [*listed, *(row for grid in _grids(model) for row in grid), *model.output_tokens.long_grid]
    )


def _grids(model: Model) -> list[Grid]:
    """Return every table of the model that names qualities and sizes."""
    return [*(prices.nano_usd for prices in model.image_prices), model.output_tokens.table]


def _tokens(model: Model, quality: str, size: str) -> int:
    figures = model.output_tokens
    long_cells = figures.long_grid.get(quality)
    if long_cells is not None:
        return formula_tokens(*(parse_size(size) or LARGEST_PIXELS), long_cells)
    found = cell(figures.table, quality, size)
    if found is None:
        raise ValueError(f"{model.name} has no token figure for quality {quality}, size {size}")
    return found
