"""Draws a simulated image as a lossless WebP in two colours, made of cells of 8 by 8 pixels.

With a palette of two colours one byte holds eight pixels in a row, here always 0 or 255, and a Huffman code of two
symbols spends one bit on it (RFC 9649, sections 3.4 to 3.7).
"""

import struct
import zlib
from typing import Final

from imagequeue.simulator.grid import CELL_PIXELS, Grid

SIGNATURE: Final = 0x2F
COLOUR_INDEXING: Final = 3
PAPER: Final = (0x18, 0x18, 0x20)


class _Bits:
    """Collects bits, least significant first, as the format reads them."""

    def __init__(self) -> None:
        self._value = 0
        self._count = 0

    def put(self, value: int, count: int) -> None:
        """Append the lowest `count` bits of `value`."""
        self._value |= value << self._count
        self._count += count

    def data(self) -> bytes:
        """Return what was collected, filled up to whole bytes."""
        return self._value.to_bytes(-(-self._count // 8), "little")


def draw(grid: Grid, bytes_min: int) -> bytes:
    """Return the WebP file, filled after its data up to `bytes_min` bytes where it would be smaller."""
    bits = _Bits()
    _header(bits, grid)
    _palette(bits, _ink(grid), paper_alpha=0 if grid.transparent else 255)
    bits.put(0, 1)  # no further transform
    bits.put(0, 2)  # no colour cache, one group of codes
    _codes(bits, green=(0, 255), red=(0,), blue=(0,), alpha=(0,))
    rows = [sum(dot << place for place, dot in enumerate(dots)) for dots in grid.text]
    for row in range(grid.rows):
        cells = rows[row] if row < len(rows) else 0
        for _ in range(min(CELL_PIXELS, grid.height - row * CELL_PIXELS)):
            bits.put(cells, grid.columns)
    return _file(bits.data(), bytes_min)


def _file(data: bytes, bytes_min: int) -> bytes:
    data = bytes([SIGNATURE]) + data
    data = data.ljust(bytes_min - 20, b"\0")
    chunk = b"VP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def _header(bits: _Bits, grid: Grid) -> None:
    bits.put(grid.width - 1, 14)
    bits.put(grid.height - 1, 14)
    bits.put(int(grid.transparent), 1)
    bits.put(0, 3)  # version


def _ink(grid: Grid) -> tuple[int, int, int]:
    tint = zlib.crc32(grid.name.encode())
    return 128 + tint % 128, 128 + tint // 256 % 128, 128 + tint // 65_536 % 128


def _palette(bits: _Bits, ink: tuple[int, int, int], *, paper_alpha: int) -> None:
    """Write the transform with its two colours, the second as the difference to the first."""
    bits.put(1, 1)
    bits.put(COLOUR_INDEXING, 2)
    bits.put(1, 8)  # the number of colours less one
    bits.put(0, 1)  # no colour cache
    pairs = [(before, (after - before) % 256) for before, after in zip(PAPER, ink, strict=True)]
    red, green, blue = pairs
    alpha = (paper_alpha, 255 - paper_alpha)
    _codes(bits, green=green, red=red, blue=blue, alpha=alpha)
    for place in (0, 1):
        for pair in (green, red, blue, alpha):
            if pair[0] != pair[1]:
                bits.put(int(pair[place] == max(pair)), 1)


def _codes(
    bits: _Bits, *, green: tuple[int, ...], red: tuple[int, ...], blue: tuple[int, ...], alpha: tuple[int, ...]
) -> None:
    for symbols in (green, red, blue, alpha, (0,)):
        _code(bits, sorted(set(symbols)))


def _code(bits: _Bits, symbols: list[int]) -> None:
    """Write a simple code of one or two symbols; the smaller gets 0, the larger 1, a single one no bit at all."""
    bits.put(1, 1)
    bits.put(len(symbols) - 1, 1)
    bits.put(1, 1)  # the first symbol has eight bits
    for symbol in symbols:
        bits.put(symbol, 8)
