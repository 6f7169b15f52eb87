"""Makes a small picture of an image. Decoding is bounded: by the pixels that the header tells, before any is read."""

import io
import warnings
from typing import Final

from PIL import Image, ImageOps

from imagequeue.config.errors import ImageQueueError
from imagequeue.store.formats import NotAnImage, inspect

SIDE_PIXELS: Final = 320
PIXELS_MAX: Final = 1 << 25
"""33 million: twice an image of 4,096 x 4,096, some 130 MB when decoded."""
FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")
QUALITY: Final = 80
MEDIA_TYPE: Final = "image/webp"


class NotShrunk(ImageQueueError):
    """No thumbnail can be made; the text is the reason."""


def shrink(data: bytes) -> bytes:
    """Return a WebP of at most SIDE_PIXELS a side, upright and without metadata; NotShrunk says why there is none."""
    try:
        facts = inspect(data)
    except NotAnImage as error:
        raise NotShrunk(str(error)) from error
    if facts.width * facts.height > PIXELS_MAX:
        raise NotShrunk(f"{facts.width} x {facts.height} pixels; thumbnails are made of at most {PIXELS_MAX:,}")
    try:
        return _shrunk(data)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, Warning) as error:
        raise NotShrunk(f"it cannot be decoded ({type(error).__name__})") from error


def _shrunk(data: bytes) -> bytes:
    with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if image.width * image.height > PIXELS_MAX:
            raise ValueError("more pixels than its header tells")
        image.draft("RGB", (2 * SIDE_PIXELS, 2 * SIDE_PIXELS))  # a JPEG is decoded at a fraction of its size
        small = image.convert("RGBA" if image.has_transparency_data else "RGB")
        small.thumbnail((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.BOX, reducing_gap=2.0)
        upright = ImageOps.exif_transpose(small)
        written = io.BytesIO()
        upright.save(written, "WEBP", quality=QUALITY, method=2, exif=b"", icc_profile=b"", xmp=b"")
        return written.getvalue()
