"""Draws simulated images: real PNG files with the prompt and the call's name over a gradient.

Made for 1,000 a second: all pictures of one size share the compressed gradient; each adds its own band of text.
Deflate blocks may simply follow each other, so only the band is compressed per picture (RFC 1951), and the check sum
of the whole is put together from both parts (Adler-32, RFC 1950). Colours come from one of a few palettes.
"""

import colorsys
import struct
import textwrap
import zlib
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Final, Literal

from imagequeue.simulator import font

PALETTES: Final = 24
INK: Final = 255
PAPER: Final = 254
SHADES: Final = 254
LINES_MAX: Final = 12
FILL_BYTES_MAX: Final = 3_145_728
ADLER_BASE: Final = 65_521
MARGIN_LETTERS: Final = 1
MARGIN_ROWS: Final = 2
NO_FILTER: Final = b"\0"
UP: Final = b"\2"  # the row holds differences to the row above, here none
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a picture shows: `title` is the prompt, `caption` names the call. Sizes in pixels and bytes."""

    width: int
    height: int
    title: str
    caption: str
    bytes_min: int
    transparent: bool = False
    render: Literal["fast", "full"] = "full"


def draw(picture: Picture) -> bytes:
    """Return the PNG file, exactly `bytes_min` bytes long unless the drawing alone needs more."""
    tint = zlib.crc32(f"{picture.title}{picture.caption}".encode()) % PALETTES
    band, band_height = _band(picture)
    rest = _gradient(picture.width, picture.height - band_height)
    check = _adler_joined(zlib.adler32(band), rest.adler, rest.length)
    parts = [
        SIGNATURE,
        chunk(b"IHDR", struct.pack(">IIBBBBB", picture.width, picture.height, 8, 3, 0, 0, 0)),
        _palette(tint),
        _clear() if picture.transparent else b"",
        chunk(b"tEXt", b"Description\0" + f"{picture.title} | {picture.caption}".encode("latin-1", "replace")),
        chunk(b"IDAT", b"\x78\x01" + _deflated(band)),
        rest.chunk,
        chunk(b"IDAT", struct.pack(">I", check)),
    ]
    end = chunk(b"IEND", b"")
    return b"".join([*parts, _fill(picture.bytes_min - sum(map(len, parts)) - len(end)), end])


def chunk(name: bytes, data: bytes) -> bytes:
    """Return one PNG chunk: length, name, data, CRC."""
    return b"".join([struct.pack(">I", len(data)), name, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))])


def _band(picture: Picture) -> tuple[bytes, int]:
    """Return the text's pixel rows as PNG scan lines, and how many there are."""
    scale = 1 if picture.render == "fast" else max(1, picture.width // 320)
    again = (UP + bytes(picture.width)) * (scale - 1)
    blank = [bytes([PAPER]) * picture.width] * MARGIN_ROWS
    rows = [
        row
        for line in _lines(picture, scale)
        for row in font.line(line, width=picture.width, scale=scale, ink=INK, paper=PAPER)
    ]
    shown = [*blank, *rows, *blank][: (picture.height - 1) // scale]
    return b"".join([NO_FILTER + row + again for row in shown]), len(shown) * scale


def _lines(picture: Picture, scale: int) -> list[str]:
    caption, title = font.plain(picture.caption), font.plain(picture.title)
    if picture.render == "fast":
        return [f"{caption} {title}"]
    letters = max(8, picture.width // (font.COLUMNS * scale) - 2 * MARGIN_LETTERS)
    text = [*textwrap.wrap(title, letters, max_lines=LINES_MAX - 1, placeholder=" ..."), caption]
    return [" " * MARGIN_LETTERS + line for line in text]


def _deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    return deflate.compress(data) + deflate.flush(zlib.Z_FULL_FLUSH)


@dataclass(frozen=True, kw_only=True)
class _Rest:
    chunk: bytes
    adler: int
    length: int


@lru_cache(maxsize=256)
def _gradient(width: int, height: int) -> _Rest:
    pixels = bytearray()
    for y in range(height):
        shade = y * (SHADES // 2) // max(1, height)
        row = bytes(shade + x * (SHADES // 2) // width for x in range(0, width, 8))
        pixels += NO_FILTER + b"".join(bytes([value]) * 8 for value in row)[:width].ljust(width, b"\0")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflate.compress(pixels) + deflate.flush(zlib.Z_FINISH)
    return _Rest(chunk=chunk(b"IDAT", data), adler=zlib.adler32(pixels), length=len(pixels))


def _adler_joined(first: int, second: int, second_length: int) -> int:
    """Return the Adler-32 of two parts from the sums of each (as zlib's adler32_combine)."""
    first_a, first_b = first & 0xFFFF, first >> 16
    second_a, second_b = second & 0xFFFF, second >> 16
    a = (first_a + second_a - 1) % ADLER_BASE
    b = (first_b + second_b + (first_a - 1) * second_length) % ADLER_BASE
    return b << 16 | a


@lru_cache(maxsize=PALETTES)
def _palette(tint: int) -> bytes:
    colours = bytearray()
    for shade in range(SHADES):
        red, green, blue = colorsys.hsv_to_rgb(
            (tint / PALETTES + shade / SHADES / 4) % 1, 0.55, 0.35 + shade / SHADES / 2
        )
        colours += bytes(int(part * 255) for part in (red, green, blue))
    return chunk(b"PLTE", bytes(colours) + b"\x18\x18\x20" + b"\xff\xff\xff")


@lru_cache(maxsize=1)
def _clear() -> bytes:
    return chunk(b"tRNS", bytes(shade // 2 for shade in range(SHADES)))


@lru_cache(maxsize=1)
def _noise() -> bytes:
    return Random(0).randbytes(FILL_BYTES_MAX)  # noqa: S311  # filling that does not compress, not a secret


def _fill(length: int) -> bytes:
    """Return a private chunk of exactly `length` bytes that readers skip, or nothing when it would not fit in."""
    return chunk(b"fiLl", _noise()[: length - 12]) if length >= 12 else b""
