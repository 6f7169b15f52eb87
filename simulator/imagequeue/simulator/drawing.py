"""Draws a picture in the format asked for."""

from typing import Final

from imagequeue.simulator import jpeg, picture, webp
from imagequeue.simulator.grid import grid_of
from imagequeue.simulator.picture import Picture

FORMATS: Final = ("png", "jpeg", "webp")


def draw(shown: Picture, output_format: str) -> bytes:
    """Return the file, about `bytes_min` bytes long unless the drawing needs more; KeyError for another format."""
    if output_format == "png":
        return picture.draw(shown)
    return {"jpeg": jpeg.draw, "webp": webp.draw}[output_format](grid_of(shown), shown.bytes_min)
