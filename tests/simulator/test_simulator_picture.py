"""Simulated images are sound PNG files of the size asked for, and no two are alike."""

import struct
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.simulator import font
from imagequeue.simulator.picture import SIGNATURE, Picture, draw


def picture(
    width: int = 256,
    height: int = 256,
    *,
    title: str = "a red fox",
    caption: str = "job-1",
    bytes_min: int = 0,
    transparent: bool = False,
) -> Picture:
    return Picture(
        width=width, height=height, title=title, caption=caption, bytes_min=bytes_min, transparent=transparent
    )


def chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file, after checking the CRC of each."""
    assert file.startswith(SIGNATURE)
    at = len(SIGNATURE)
    while at < len(file):
        (length,) = struct.unpack_from(">I", file, at)
        name, data = file[at + 4 : at + 8], file[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", file, at + 8 + length) == (zlib.crc32(name + data),)
        yield name, data
        at += length + 12


def pixels(file: bytes) -> list[bytes]:
    """Return the pixel rows; zlib itself verifies the check sum that was put together from parts."""
    parts = list(chunks(file))
    width, height = struct.unpack_from(">II", dict(parts)[b"IHDR"])
    raw = zlib.decompress(b"".join(data for name, data in parts if name == b"IDAT"))
    assert len(raw) == height * (width + 1)
    rows: list[bytes] = []
    for at in range(0, len(raw), width + 1):
        kind, row = raw[at], raw[at + 1 : at + 1 + width]
        assert kind in (0, 2)
        rows.append(row if kind == 0 else bytes((a + b) & 255 for a, b in zip(row, rows[-1], strict=True)))
    return rows


@given(
    width=st.integers(1, 24).map(lambda sixteenths: 16 * sixteenths),
    height=st.integers(1, 24).map(lambda sixteenths: 16 * sixteenths),
    title=st.text(max_size=200),
    caption=st.text(max_size=40),
    bytes_min=st.sampled_from([0, 5_000, 20_001]),
)
def test_any_size_and_text_give_a_sound_file(width: int, height: int, title: str, caption: str, bytes_min: int) -> None:
    file = draw(picture(width, height, title=title, caption=caption, bytes_min=bytes_min))
    rows = pixels(file)
    assert (len(rows[0]), len(rows)) == (width, height)
    assert list(chunks(file))[-1] == (b"IEND", b"")


@pytest.mark.parametrize("bytes_min", [20_000, 65_537, 3_145_728])
def test_a_file_has_exactly_the_bytes_asked_for(bytes_min: int) -> None:
    assert len(draw(picture(1024, 1024, bytes_min=bytes_min))) == bytes_min


def test_pictures_of_different_calls_differ_in_what_is_seen() -> None:
    first, second = (pixels(draw(picture(caption=f"job-{number}"))) for number in (1, 2))
    assert first != second


def test_the_prompt_stands_in_the_picture() -> None:
    """The letters' dots are found in the drawn rows, each as wide as the picture's scale."""
    rows = pixels(draw(picture(title="FOX", caption="job")))
    letters = font.line(" FOX", width=256, scale=1, ink=255, paper=254)
    assert [row for row in rows if row in letters and 255 in row][:1] == [letters[0]]


def test_a_transparent_picture_says_so() -> None:
    assert b"tRNS" in dict(chunks(draw(picture(transparent=True))))
    assert b"tRNS" not in dict(chunks(draw(picture())))


@given(st.text(max_size=60))
def test_any_text_can_be_written(text: str) -> None:
    shown = font.plain(text)
    assert all(" " <= letter <= "~" for letter in shown)
    rows = font.line(shown, width=100, scale=2, ink=1, paper=0)
    assert [len(row) for row in rows] == [100] * font.ROWS


def test_letters_lose_accents_rather_than_vanish() -> None:
    assert font.plain("Caf\u00e9  au\nlait") == "Cafe au lait"
