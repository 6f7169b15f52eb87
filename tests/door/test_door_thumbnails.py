"""Thumbnails: small, bounded, kept, and for those only who may see the image."""

import io
import os
import struct
import zlib
from pathlib import Path

import httpx
import pytest
from door_stack import Stack
from PIL import Image

from imagequeue.producer.shrinking import PIXELS_MAX, SIDE_PIXELS, NotShrunk, shrink
from imagequeue.producer.thumbnail_folder import FILES_PER_FOLDER_MAX, ThumbnailFolder

pytestmark = pytest.mark.xdist_group("door")


def drawn(image_format: str, size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    written = io.BytesIO()
    Image.new(mode, size, "teal" if mode != "P" else 3).save(written, image_format, **options)
    return written.getvalue()


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1792, 1024), (1024, 1792), (64, 64), (5000, 1), (1, 1)])
@pytest.mark.parametrize(
    ("image_format", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB"), ("WEBP", "RGB"), ("GIF", "P")]
)
def test_every_format_becomes_a_small_webp(image_format: str, mode: str, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(shrink(drawn(image_format, size, mode)))) as small:
        assert small.format == "WEBP"
        assert max(small.size) <= SIDE_PIXELS
        assert max(small.size) == min(max(size), SIDE_PIXELS)


def test_what_a_photograph_says_of_its_place_is_left_out_and_its_turn_is_done() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "taken at home"
    found = shrink(drawn("JPEG", (800, 400), exif=exif))
    with Image.open(io.BytesIO(found)) as small:
        assert small.height > small.width
        assert not small.getexif()
    assert b"taken at home" not in found


@pytest.mark.parametrize(
    "data",
    [b"", b"<svg/>", b"GIF89a", bomb(16_000, 4_000), bomb(500, 500), drawn("PNG", (300, 300))[:-30]],
    ids=["nothing", "svg", "cut gif", "many pixels", "few bytes", "cut png"],
)
def test_what_is_no_image_or_too_large_is_refused(data: bytes) -> None:
    with pytest.raises(NotShrunk):
        shrink(data)


def test_the_pixels_are_counted_before_any_is_decoded() -> None:
    with pytest.raises(NotShrunk, match=f"at most {PIXELS_MAX:,}"):
        shrink(bomb(16_000, 4_000))


def test_the_folder_keeps_so_many_and_lets_the_oldest_go(tmp_path: Path) -> None:
    folder, data = ThumbnailFolder(tmp_path), drawn("WEBP", (1, 1))
    names = [f"ab{place:062d}" for place in range(FILES_PER_FOLDER_MAX + 1)]
    for place, name in enumerate(names):
        folder.put(name, data)
        os.utime(tmp_path / "ab" / f"{name}.webp", (place, place))
    assert folder.get(names[0]) is None
    assert all(folder.get(name) == data for name in names[1:])


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_work(tmp_path: Path) -> None:
    (tmp_path / "ab").write_text("in the way")
    folder = ThumbnailFolder(tmp_path)
    folder.put("ab" * 32, drawn("WEBP", (1, 1)))
    assert folder.get("ab" * 32) is None


def made(client: httpx.Client, **fields: object) -> str:
    job = client.post("/v1/jobs", json={"prompt": "a lighthouse", "model": "dall-e-3", **fields}).json()
    view = client.get(f"/v1/jobs/{job['id']}", params={"wait": 60}).json()
    return str(view["images"][0]["sha256"])


def test_a_thumbnail_is_for_those_who_may_see_the_image(stack: Stack) -> None:
    with stack.client("red") as red, stack.client("blue") as blue, stack.client("admin") as admin:
        path = f"/v1/images/{made(red, tenant='red')}/thumbnail"
        answer = red.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert red.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
        assert admin.get(path).content == answer.content
        assert blue.get(path).status_code == 403
        assert httpx.get(f"{stack.url}{path}").status_code == 401
        assert red.get(path, params={"x": "1"}).status_code == 400
        assert admin.get(f"/v1/images/{'0' * 64}/thumbnail").status_code == 404
        assert admin.get("/v1/images/x/thumbnail").status_code == 404


def test_an_open_door_lets_a_cache_keep_thumbnails_and_makes_each_once(stack: Stack, client: httpx.Client) -> None:
    sha256 = made(client, tenant="thumbs")
    answer = client.get(f"/v1/images/{sha256}/thumbnail")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    with Image.open(io.BytesIO(answer.content)) as small:
        assert max(small.size) <= SIDE_PIXELS
    kept = stack.data_dir / "thumbnails" / sha256[:2] / f"{sha256}.webp"
    assert kept.read_bytes() == answer.content
