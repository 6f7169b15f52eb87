"""Whether a model takes the input images of a job: how many bytes, which format, which shape. Pure."""

from collections.abc import Sequence
from typing import Protocol

from imagequeue.config.catalog.records import Model
from imagequeue.config.errors import JobRefused


class Measured(Protocol):
    """What is known of an image: its length in bytes, its size in pixels, and its format's name."""

    @property
    def bytes(self) -> int:
        """Its length."""
        ...

    @property
    def width(self) -> int:
        """Its width in pixels."""
        ...

    @property
    def height(self) -> int:
        """Its height in pixels."""
        ...

    @property
    def format(self) -> str:
        """Its format: png, jpeg, webp or gif."""
        ...


def check_inputs(images: Sequence[Measured | None], mask: Measured | None, model: Model) -> None:
    """JobRefused names the first input that the model does not take, and what it takes.

    A mask is laid over the first image, so it has its size. How many there may be is `check_job`'s to say. None is an
    image of which nothing is known yet.
    """
    for place, image in enumerate(images):
        if image is not None:
            _check(f"images.{place}", image, model)
    if mask is None:
        return
    _check("mask", mask, model)
    first = images[0]
    if first is not None and (mask.width, mask.height) != (first.width, first.height):
        raise JobRefused(
            "mask", f"it is {mask.width} x {mask.height} pixels; the first image is {first.width} x {first.height}"
        )


def _check(field: str, image: Measured, model: Model) -> None:
    accepts = model.accepts
    if image.format not in accepts.image_formats:
        listed = ", ".join(accepts.image_formats)
        raise JobRefused(field, f"{model.name} does not take {image.format}; accepted: {listed}")
    if image.bytes > accepts.image_bytes_max:
        raise JobRefused(field, f"it has {image.bytes} bytes; {model.name} takes at most {accepts.image_bytes_max}")
    if accepts.image_square and image.width != image.height:
        raise JobRefused(field, f"it is {image.width} x {image.height} pixels; {model.name} takes square images only")
