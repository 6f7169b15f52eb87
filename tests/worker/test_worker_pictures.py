"""The images in an answer are untrusted bytes: taken when they are images, refused with the reason otherwise."""

import asyncio
import base64
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagequeue.worker.download import NotFetched
from imagequeue.worker.pictures import IMAGES_MAX, BadPicture, Picture, pictures_of


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 2, height: int = 3) -> bytes:
    """Return a small picture."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = zlib.compress(b"".join(b"\0" + b"\x7f" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def item(data: bytes, **more: object) -> dict[str, object]:
    """Return an image as the API answers it."""
    return {"b64_json": base64.b64encode(data).decode(), **more}


async def fetch(url: str) -> bytes:
    """Serve one picture, and nothing else."""
    if url == "http://127.0.0.1/cat.png":
        return png()
    raise NotFetched("an image that is not there")


def taken(body: dict[str, object]) -> tuple[Picture, ...]:
    """Return the images of an answer."""
    return asyncio.run(pictures_of(body, fetch))


def test_a_linked_image_is_fetched() -> None:
    (found,) = taken({"data": [{"url": "http://127.0.0.1/cat.png"}]})
    assert found.data == png()


def test_images_are_decoded_measured_and_keep_their_prompt() -> None:
    found = taken({"data": [item(png(), revised_prompt="a small cat"), item(png(5, 7))]})
    assert [(each.facts.width, each.facts.height, each.facts.format) for each in found] == [
        (2, 3, "png"),
        (5, 7, "png"),
    ]
    assert [each.revised_prompt for each in found] == ["a small cat", None]
    assert found[0].data == png()


BAD = {
    "no base64": {"b64_json": "!!!"},
    "cut base64": {"b64_json": base64.b64encode(png()).decode()[:-3]},
    "not ASCII": {"b64_json": "äöü="},
    "a dead link": {"url": "http://127.0.0.1/x.png"},
    "a number": {"b64_json": 7},
    "nothing": None,
    "empty": {"b64_json": ""},
    "text": item(b"hello, I am no image at all"),
    "SVG": item(b"<svg xmlns='http://www.w3.org/2000/svg'></svg>"),
    "HTML": item(b"<html><body>oops</body></html>"),
    "a huge PNG": item(png()[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + png()[24:]),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_is_no_image_is_refused_and_none_of_its_answer_is_taken(bad: object) -> None:
    with pytest.raises(BadPicture):
        taken({"data": [item(png()), bad]})


def test_too_many_images_are_refused() -> None:
    with pytest.raises(BadPicture, match=f"at most {IMAGES_MAX}"):
        taken({"data": [item(png())] * (IMAGES_MAX + 1)})


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else_is_raised(data: bytes) -> None:
    with pytest.raises(BadPicture, match="an image that is"):
        taken({"data": [item(data)]})
