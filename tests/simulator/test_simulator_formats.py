"""JPEG and WebP answers are files of their kind, of the size asked for, that show the text's dots."""

import struct
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.simulator.drawing import draw
from imagequeue.simulator.grid import Grid, grid_of
from imagequeue.simulator.picture import Picture

SIZES = st.integers(1, 20).map(lambda sixteenths: 16 * sixteenths)


def picture(width: int, height: int, title: str = "fox", *, bytes_min: int = 0, transparent: bool = False) -> Picture:
    return Picture(
        width=width, height=height, title=title, caption="job-1", bytes_min=bytes_min, transparent=transparent
    )


def dots(grid: Grid) -> list[list[bool]]:
    """Return every cell of the grid: whether it is a dot of the text."""
    text = [[bool(cell) for cell in row] for row in grid.text]
    return text + [[False] * grid.columns for _ in range(grid.rows - len(text))]


def jpeg_rows(file: bytes) -> tuple[tuple[int, int], list[list[int]]]:
    """Decode the luminance of each cell of a JPEG as this simulator writes them, by the format's rules."""
    at, size = 2, (0, 0)
    while file[at + 1] != 0xDA:
        if file[at + 1] == 0xC0:
            height, width = struct.unpack_from(">HH", file, at + 5)
            size = (width, height)
        at += 2 + int.from_bytes(file[at + 2 : at + 4])
    data = file[at + 2 + int.from_bytes(file[at + 2 : at + 4]) : -2].replace(b"\xff\x00", b"\xff\xaa")
    rows, begin = [], 0
    for place in range(len(data) + 1):
        if place == len(data) or (data[place] == 0xFF and data[place + 1] in range(0xD0, 0xD8)):
            rows.append(luminances(data[begin:place].replace(b"\xff\xaa", b"\xff"), -(-size[0] // 8)))
            begin = place + 2
    return size, rows


def luminances(data: bytes, columns: int) -> list[int]:
    bits = iter(f"{int.from_bytes(data):0{8 * len(data)}b}")
    level, found = 0, []
    for _ in range(columns):
        level += block(bits)
        found.append(level)
        block(bits)
        block(bits)
    return found


def block(bits: Iterator[str]) -> int:
    category = int("".join(next(bits) for _ in range(4)), 2)
    value = int("".join(next(bits) for _ in range(category)) or "0", 2)
    assert next(bits) == "0", "end of block"
    return value if category == 0 or value >> (category - 1) else value - (1 << category) + 1


def webp_rows(file: bytes) -> tuple[tuple[int, int], list[list[bool]]]:
    """Decode a WebP of two colours and simple codes, by the format's rules; True is the palette's second colour."""
    assert (file[:4], file[8:16], file[20]) == (b"RIFF", b"WEBPVP8L", 0x2F)
    assert struct.unpack_from("<I", file, 4)[0] == len(file) - 8
    value, places = int.from_bytes(file[21:], "little"), count()

    def take(amount: int) -> int:
        return sum((value >> next(places) & 1) << place for place in range(amount))

    width, height = take(14) + 1, take(14) + 1
    take(4)
    assert [take(1), take(2), take(8), take(1)] == [1, 3, 1, 0]
    for amount in [codes(take) for _ in range(5)][:4] * 2:
        take(amount - 1)
    assert take(3) == 0
    assert [codes(take) for _ in range(5)] == [2, 1, 1, 1, 1]
    return (width, height), [[bool(take(1)) for _ in range(-(-width // 8))] for _ in range(height)]


def codes(take: Callable[[int], int]) -> int:
    assert take(1) == 1
    amount = take(1) + 1
    assert take(1) == 1
    for _ in range(amount):
        take(8)
    return amount


@given(width=SIZES, height=SIZES, title=st.text(max_size=60))
def test_a_jpeg_shows_the_text(width: int, height: int, title: str) -> None:
    shown = picture(width, height, title)
    size, rows = jpeg_rows(draw(shown, "jpeg"))
    grid = grid_of(shown)
    assert size == (width, height)
    assert [[level == 110 for level in row] for row in rows] == dots(grid)
    assert all(level in (110, -110) for row in rows[: len(grid.text)] for level in row)


@given(width=SIZES, height=SIZES, title=st.text(max_size=60), transparent=st.booleans())
def test_a_webp_shows_the_text(width: int, height: int, title: str, transparent: bool) -> None:  # noqa: FBT001  # drawn
    shown = picture(width, height, title, transparent=transparent)
    size, rows = webp_rows(draw(shown, "webp"))
    assert size == (width, height)
    assert rows[::8] == rows[7::8] == dots(grid_of(shown))


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
@pytest.mark.parametrize("bytes_min", [20_000, 200_000, 3_145_728])
def test_a_file_has_the_bytes_asked_for(output_format: str, bytes_min: int) -> None:
    """Comments and fillings come in units; a file may be up to four bytes longer."""
    length = len(draw(picture(512, 512, bytes_min=bytes_min), output_format))
    assert bytes_min <= length <= bytes_min + 4
