"""Images in a folder: durable, whole, named by content."""

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from store_images import png

from imagequeue.config.errors import ConfigError, StoreUnavailable
from imagequeue.store.folder import INCOMING
from imagequeue.store.formats import inspect
from imagequeue.store.store import StoredImage, keys_of, open_store


def put(root: Path, data: bytes) -> StoredImage:
    async def work() -> StoredImage:
        store = open_store(root.as_uri())
        image = await store.put(data, inspect(data))
        await store.aclose()
        return image

    return asyncio.run(work())


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_put_image_is_found_under_its_content(tmp_path: Path) -> None:
    async def work() -> None:
        store = open_store((tmp_path / "a b%20c").as_uri())
        data = png(7, 5)
        image = await store.put(data, inspect(data))
        sha256 = hashlib.sha256(data).hexdigest()
        assert image == StoredImage(
            sha256=sha256,
            bytes=len(data),
            width=7,
            height=5,
            format="png",
            key=f"{sha256[:2]}/{sha256}.png",
        )
        assert await store.get(sha256) == data
        assert await store.exists(sha256)
        assert (tmp_path / "a b%20c" / image.key).read_bytes() == data
        assert await store.delete(sha256)
        assert not await store.delete(sha256)
        assert not await store.exists(sha256)
        assert await store.get(sha256) is None
        await store.aclose()

    asyncio.run(work())


def test_the_same_image_again_is_not_rewritten(tmp_path: Path) -> None:
    data = png()
    path = tmp_path / put(tmp_path, data).key
    before = path.stat()
    assert put(tmp_path, data).key == str(path.relative_to(tmp_path))
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_a_shorter_file_under_the_name_is_replaced(tmp_path: Path) -> None:
    """A file that somebody cut short by hand does not stay for the image."""
    data = png()
    path = tmp_path / put(tmp_path, data).key
    path.write_bytes(data[:10])
    put(tmp_path, data)
    assert path.read_bytes() == data


def test_many_puts_at_once_leave_each_image_and_nothing_else(tmp_path: Path) -> None:
    images = [png(seed=number) for number in range(60)] * 2

    async def work() -> list[StoredImage]:
        store = open_store(tmp_path.as_uri())
        stored = await asyncio.gather(*(store.put(data, inspect(data)) for data in images))
        await store.aclose()
        return list(stored)

    stored = asyncio.run(work())
    assert files(tmp_path) == sorted({image.key for image in stored})


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n", "/" * 64])
def test_a_name_that_is_no_digest_reaches_no_file(tmp_path: Path, name: str) -> None:
    async def work() -> None:
        store = open_store(tmp_path.as_uri())
        assert keys_of(name) == ()
        assert await store.get(name) is None
        assert not await store.delete(name)
        await store.aclose()

    asyncio.run(work())


def test_leftovers_of_a_killed_writer_are_swept_by_age_and_images_are_not(tmp_path: Path) -> None:
    key = put(tmp_path, png()).key
    old, fresh = tmp_path / INCOMING / "old", tmp_path / INCOMING / "fresh"
    old.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(old, (1, 1))

    async def sweep(seconds: float) -> int:
        store = open_store(tmp_path.as_uri())
        try:
            return await store.sweep_temporary(seconds)
        finally:
            await store.aclose()

    assert asyncio.run(sweep(3600)) == 1
    assert files(tmp_path) == sorted([f"{INCOMING}/fresh", key])
    assert asyncio.run(sweep(0)) == 1
    assert files(tmp_path) == [key]


def test_sweeping_a_store_that_does_not_exist_yet_finds_nothing(tmp_path: Path) -> None:
    store = open_store((tmp_path / "none").as_uri())
    assert asyncio.run(store.sweep_temporary(0)) == 0
    assert not (tmp_path / "none").exists()


def test_a_folder_removed_behind_our_back_is_made_again(tmp_path: Path) -> None:
    async def work() -> None:
        store = open_store(tmp_path.as_uri())
        data = png()
        key = (await store.put(data, inspect(data))).key
        (tmp_path / key).unlink()
        (tmp_path / key).parent.rmdir()
        (tmp_path / INCOMING).rmdir()
        assert (tmp_path / (await store.put(data, inspect(data))).key).read_bytes() == data
        await store.aclose()

    asyncio.run(work())


LIMITED = """
import asyncio, resource, sys
from imagequeue.config.errors import StoreUnavailable
from imagequeue.store.formats import ImageFacts
from imagequeue.store.store import open_store
async def work():
    store = open_store(sys.argv[1])
    await store.ping()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    facts = ImageFacts(format="png", width=1, height=1)
    try:
        await store.put(bytes(5000), facts)
    except StoreUnavailable as error:
        print(error)
    print((await store.put(bytes(500), facts)).bytes)
asyncio.run(work())
"""


def test_a_disk_that_takes_no_more_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The kernel's limit on a file's size cuts a write in the middle, as a full disk does; small files still work."""
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.splitlines() == [f"image store {tmp_path}: File too large", "500"]
    assert len(files(tmp_path)) == 1


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="image store"):
        put(tmp_path / "file", png())


@pytest.mark.parametrize(
    "url", ["", "images", "file://", "file://relative/x", "http://host/x", "s3://", "s3:///", "s3://user:word@bucket/x"]
)
def test_a_url_that_is_no_store_is_refused_by_the_variables_name(url: str) -> None:
    with pytest.raises(ConfigError, match="IMAGEQUEUE_STORE_URL") as refused:
        open_store(url)
    assert "word" not in str(refused.value)
