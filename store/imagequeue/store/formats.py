"""What kind of image some bytes are, and how large. Pure header reading: nothing is decoded.

Sources: PNG (Third Edition), W3C 2025, sections 5.2-5.6 and 11.2.1; JPEG, ITU-T T.81 annex B; WebP container,
RFC 9649 sections 2.3-2.7; GIF89a, CompuServe 1990, sections 17, 18 and 27.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from imagequeue.config.errors import ImageQueueError

ImageFormat = Literal["png", "jpeg", "webp", "gif"]

IMAGE_BYTES_MAX: Final = 64 * 1024 * 1024
SIDE_PIXELS_MAX: Final = 16_384
PIXELS_MAX: Final = 1 << 26
SEGMENTS_MAX: Final = 65_536  # chunks of a PNG or segments before a JPEG's first scan; real files have hundreds

SUFFIXES: Final[dict[ImageFormat, str]] = {"png": "png", "jpeg": "jpg", "webp": "webp", "gif": "gif"}
MEDIA_TYPES: Final[dict[ImageFormat, str]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
}

_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_PNG_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and restarts carry no length
_JPEG_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15 without DHT, JPG, DAC
_JPEG_SCAN: Final = 0xDA


class NotAnImage(ImageQueueError):
    """The bytes are no complete image of a format we keep; the text is the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """What an image's own header says. Width and height are in pixels."""

    format: ImageFormat
    width: int
    height: int


def inspect(data: bytes) -> ImageFacts:
    """Return the format and dimensions of a complete PNG, JPEG, WebP or GIF; NotAnImage says why it is none."""
    if len(data) > IMAGE_BYTES_MAX:
        raise NotAnImage(f"{len(data)} bytes; at most {IMAGE_BYTES_MAX} are accepted")
    name, measure = _reader(data)
    try:
        width, height = measure(data)
    except (struct.error, IndexError) as error:
        raise NotAnImage(f"the {name} is cut short after {len(data)} bytes") from error
    _check_dimensions(name, width, height)
    return ImageFacts(format=name, width=width, height=height)


def _reader(data: bytes) -> tuple[ImageFormat, Callable[[bytes], tuple[int, int]]]:
    if data.startswith(_PNG_MAGIC):
        return "png", _measure_png
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg", _measure_jpeg
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp", _measure_webp
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif", _measure_gif
    raise NotAnImage(_describe(data))


def _describe(data: bytes) -> str:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not data:
        return "no bytes at all"
    if b"<svg" in start:
        return "an SVG drawing; PNG, JPEG, WebP or GIF is accepted"
    if start.startswith(b"<"):
        return "a page of markup (HTML or XML); PNG, JPEG, WebP or GIF is accepted"
    return f"{len(data)} bytes of no known image format; PNG, JPEG, WebP or GIF is accepted"


def _check_dimensions(name: str, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise NotAnImage(f"the {name} says it is {width} x {height} pixels")
    if width > SIDE_PIXELS_MAX or height > SIDE_PIXELS_MAX or width * height > PIXELS_MAX:
        raise NotAnImage(
            f"the {name} says it is {width} x {height} pixels; "
            f"at most {SIDE_PIXELS_MAX} a side and {PIXELS_MAX} in all are accepted"
        )


def _measure_png(data: bytes) -> tuple[int, int]:
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    (checksum,) = struct.unpack_from(">I", data, 29)
    if length != 13 or kind != b"IHDR" or checksum != zlib.crc32(data[12:29]):
        raise NotAnImage("the png has no valid header chunk (IHDR)")
    _check_png_chunks(data)
    return width, height


def _check_png_chunks(data: bytes) -> None:
    """Follow the chunks' lengths to the end: a file cut anywhere, or glued to another, does not fit."""
    position, pixels_seen = 33, False
    for _ in range(SEGMENTS_MAX):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        pixels_seen = pixels_seen or kind == b"IDAT"
        if kind == b"IEND":
            break
    if not pixels_seen or position != len(data) or not data.endswith(_PNG_END):
        raise NotAnImage("the png does not end with its end chunk (IEND) after its pixels (IDAT)")


def _measure_jpeg(data: bytes) -> tuple[int, int]:
    if not data.endswith(b"\xff\xd9"):
        raise NotAnImage("the jpeg does not end with its end marker (EOI)")
    position, size = 2, None
    for _ in range(SEGMENTS_MAX):
        position, marker = _next_jpeg_marker(data, position)
        if marker == _JPEG_SCAN and size is not None:
            return size
        if marker in _JPEG_BARE_MARKERS:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if marker == _JPEG_SCAN or length < 2:
            break
        if marker in _JPEG_FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, position + 3)
            size = (width, height)
        position += length
    raise NotAnImage("the jpeg has no frame header (SOF) before its pixels")


def _next_jpeg_marker(data: bytes, position: int) -> tuple[int, int]:
    """Return where the marker at `position` ends and its code; 0xFF may be repeated as fill."""
    if data[position] != 0xFF:
        raise NotAnImage(f"the jpeg has no marker at byte {position}")
    for end in range(position + 1, position + SEGMENTS_MAX):
        if data[end] != 0xFF:
            return end + 1, data[end]
    raise NotAnImage("the jpeg is fill bytes only")


def _measure_webp(data: bytes) -> tuple[int, int]:
    (riff_bytes,) = struct.unpack_from("<I", data, 4)
    if riff_bytes + 8 != len(data):
        raise NotAnImage(f"the webp should have {riff_bytes + 8} bytes and has {len(data)}")
    kind = data[12:16]
    if kind == b"VP8X":
        width_and_height = data[24:30]
        return (
            int.from_bytes(width_and_height[:3], "little") + 1,
            int.from_bytes(width_and_height[3:], "little") + 1,
        )
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise NotAnImage("the webp has no valid first chunk (VP8, VP8L or VP8X)")


def _measure_gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    if len(data) < 14 or data[-1] != 0x3B:
        raise NotAnImage("the gif does not end with its trailer")
    return width, height
