"""What the header reader accepts, refuses and says."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_images import gif, jpeg, png, samples, webp

from imagequeue.store.formats import (
    IMAGE_BYTES_MAX,
    PIXELS_MAX,
    SIDE_PIXELS_MAX,
    ImageFacts,
    NotAnImage,
    inspect,
)


@pytest.mark.parametrize("name", list(samples()))
def test_every_format_gives_its_name_and_dimensions(name: str) -> None:
    facts = inspect(samples()[name])
    assert facts == ImageFacts(format=name.split("-", maxsplit=1)[0], width=300, height=200)  # type: ignore[arg-type]  # test data


@pytest.mark.parametrize("name", list(samples()))
def test_an_image_cut_at_any_byte_is_refused(name: str) -> None:
    data = samples()[name]
    for length in range(len(data)):
        with pytest.raises(NotAnImage):
            inspect(data[:length])


@given(width=st.integers(1, 40), height=st.integers(1, 40))
def test_dimensions_are_read_the_right_way_round(width: int, height: int) -> None:
    lossy = webp(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height))
    lossless = webp(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14))
    for data in (png(width, height), jpeg(width, height), gif(width, height), lossy, lossless):
        facts = inspect(data)
        assert (facts.width, facts.height) == (width, height)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no bytes"),
        (b"<!DOCTYPE html><html></html>", "page of markup"),
        (b"\xef\xbb\xbf\n<html>", "page of markup"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "SVG"),
        (b"<svg/>", "SVG"),
        (b'{"error": {}}', "no known image format"),
        (b"BM" + bytes(60), "no known image format"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, said: str) -> None:
    with pytest.raises(NotAnImage, match=said):
        inspect(data)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (SIDE_PIXELS_MAX + 1, 1), (1, SIDE_PIXELS_MAX + 1), (9000, 9000)])
def test_absurd_dimensions_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(NotAnImage, match="pixels"):
        inspect(gif(*size))


def test_the_largest_accepted_dimensions_are_accepted() -> None:
    assert inspect(gif(SIDE_PIXELS_MAX, PIXELS_MAX // SIDE_PIXELS_MAX)).width == SIDE_PIXELS_MAX


def test_more_bytes_than_the_bound_are_refused_unread() -> None:
    with pytest.raises(NotAnImage, match="at most"):
        inspect(bytes(IMAGE_BYTES_MAX + 1))


def test_bytes_after_the_end_of_a_png_are_refused() -> None:
    with pytest.raises(NotAnImage, match="IEND"):
        inspect(png() + b"<script>")


def test_a_png_header_with_a_flipped_bit_is_refused() -> None:
    data = bytearray(png())
    data[18] ^= 1
    with pytest.raises(NotAnImage, match="IHDR"):
        inspect(bytes(data))


def test_a_jpeg_without_a_frame_is_refused() -> None:
    with pytest.raises(NotAnImage, match="SOF"):
        inspect(b"\xff\xd8\xff\xda\x00\x02\xff\xd9")


@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_it_fail_otherwise(data: bytes) -> None:
    """Whatever comes, the answer is facts within the bounds or NotAnImage."""
    _facts_or_refusal(data)


@given(
    data=st.sampled_from(list(samples().values())),
    position=st.integers(0, 120),
    garbage=st.binary(max_size=12),
    cut=st.integers(0, 20),
)
def test_no_damage_makes_it_fail_otherwise(data: bytes, position: int, garbage: bytes, cut: int) -> None:
    _facts_or_refusal(data[:position] + garbage + data[position + cut :])


def _facts_or_refusal(data: bytes) -> None:
    try:
        facts = inspect(data)
    except NotAnImage:
        return
    assert 1 <= facts.width <= SIDE_PIXELS_MAX
    assert 1 <= facts.width * facts.height <= PIXELS_MAX
