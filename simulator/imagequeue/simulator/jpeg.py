"""Draws a simulated image as a baseline JPEG of flat 8 by 8 pixel cells: the text's dots over shades of one colour.

Every cell is one DC coefficient and no AC ones, so a handful of Huffman codes does (ITU T.81, annexes B and F). Each
row of cells is a restart interval of its own and depends on nothing before it.
"""

import struct
import zlib
from functools import lru_cache
from typing import Final

from imagequeue.simulator.grid import Grid

DC_BITS: Final = 4  # nine categories of difference, 0 to 8, each with a code of four bits
END_OF_BLOCK: Final = "0"
QUANTUM: Final = 8  # makes a DC coefficient the cell's mean itself
COMMENT_BYTES_MAX: Final = 65_533
INK: Final = 110
PAPER: Final = -110
TINTS: Final = ((-40, 30), (-30, -40), (40, -30), (45, 10), (10, 45), (-45, -5), (25, 35), (-5, -45))
"""Blue and red difference of each colour; few, so that rows without text are packed once."""

HEAD: Final = b"\xff\xd8" + b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
QUANTA: Final = b"\xff\xdb\x00\x43\x00" + bytes([QUANTUM] * 64)
DC_TABLE: Final = (
    b"\xff\xc4" + struct.pack(">HB", 2 + 1 + 16 + 9, 0x00) + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9))
)
AC_TABLE: Final = b"\xff\xc4" + struct.pack(">HB", 2 + 1 + 16 + 1, 0x10) + bytes([1] + [0] * 15) + b"\0"
SCAN: Final = b"\xff\xda\x00\x0c\x03" + b"\x01\x00\x02\x00\x03\x00" + b"\x00\x3f\x00"


def draw(grid: Grid, bytes_min: int) -> bytes:
    """Return the JPEG file, filled with comments up to `bytes_min` bytes where it would be smaller."""
    frame = struct.pack(">BHHB", 8, grid.height, grid.width, 3) + b"\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    head = b"".join([HEAD, QUANTA, _segment(0xC0, frame), DC_TABLE, AC_TABLE])
    interval = _segment(0xDD, struct.pack(">H", grid.columns))
    body = b"".join([_row(grid, row) + _mark(row, grid.rows) for row in range(grid.rows)])
    fill = _comments(bytes_min - len(head) - len(interval) - len(SCAN) - len(body) - 2)
    return b"".join([head, fill, interval, SCAN, body, b"\xff\xd9"])


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _comments(length: int) -> bytes:
    """Return comment segments of together `length` bytes, or a few more where a last one would be too short."""
    whole, rest = divmod(max(0, length), COMMENT_BYTES_MAX + 4)
    sizes = [COMMENT_BYTES_MAX] * whole + ([max(0, rest - 4)] if rest else [])
    return b"".join(_segment(0xFE, bytes(size)) for size in sizes)


def _mark(row: int, rows: int) -> bytes:
    return b"" if row == rows - 1 else bytes([0xFF, 0xD0 + row % 8])


def _row(grid: Grid, row: int) -> bytes:
    colour = TINTS[zlib.crc32(grid.name.encode()) % len(TINTS)]
    if row < len(grid.text):
        return _text_row(grid.text[row], *colour)
    return _flat_row(grid.columns, 80 - row * 120 // grid.rows, *colour)


@lru_cache(maxsize=4_096)
def _flat_row(columns: int, luminance: int, blue: int, red: int) -> bytes:
    return _packed([luminance] * columns, blue, red)


def _text_row(dots: bytes, blue: int, red: int) -> bytes:
    return _packed([INK if dot else PAPER for dot in dots], blue, red)


def _packed(luminances: list[int], blue: int, red: int) -> bytes:
    parts: list[str] = []
    before, colours = 0, _block(blue) + _block(red)
    for luminance in luminances:
        parts += (_block(luminance - before), colours)
        before, colours = luminance, _block(0) * 2
    bits = "".join(parts)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\x00")


@lru_cache(maxsize=1_024)
def _block(difference: int) -> str:
    """Return the bits of one cell: the difference's category, its bits, end of block."""
    category = abs(difference).bit_length()
    value = difference if difference > 0 else difference + (1 << category) - 1
    bits = format(value, f"0{category}b") if category else ""
    return format(category, f"0{DC_BITS}b") + bits + END_OF_BLOCK
