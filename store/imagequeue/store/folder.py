"""Images in a local folder: one hop to a thread, and never a partial file under an image's name.

A put writes `.incoming/<random>`, makes it durable (fsync), renames it to its name and makes the name durable (fsync
of the folder). A crash at any point leaves either the whole image or a leftover that `sweep_temporary` removes.
"""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from typing import Final, TypeVar

from imagequeue.config.errors import StoreUnavailable
from imagequeue.store.formats import ImageFacts
from imagequeue.store.store import StoredImage, keys_of, stored_image

THREADS_MAX: Final = 8  # fsync waits for the disk: a few in parallel let it group them
OPERATION_SECONDS_MAX: Final = 60.0
INCOMING: Final = ".incoming"
FOLDERS: Final = (INCOMING, *(f"{pair:02x}" for pair in range(256)))

Result = TypeVar("Result")


class FolderStore:
    """An `ImageStore` below one folder, which is made when the first image comes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._durable = False
        self._incoming = f"{root}/{INCOMING}"
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="imagequeue-store")

    async def put(self, data: bytes, facts: ImageFacts) -> StoredImage:
        """Return once the image and its name are on disk; StoreUnavailable on a full disk or missing rights."""
        return await self._in_thread(lambda: self._put(data, facts))

    async def get(self, sha256: str) -> bytes | None:
        """Return the image's bytes, or None."""
        return await self._in_thread(lambda: self._get(sha256))

    async def exists(self, sha256: str) -> bool:
        """Return whether the image is there."""
        return await self._in_thread(lambda: self._find(sha256) is not None)

    async def delete(self, sha256: str) -> bool:
        """Remove the image; return whether it was there."""
        return await self._in_thread(lambda: self._delete(sha256))

    async def ping(self) -> None:
        """Write and remove a few bytes."""
        await self._in_thread(lambda: Path(self._write_incoming(b"ping")).unlink())

    async def sweep_temporary(self, older_than_seconds: float) -> int:
        """Remove unfinished files that nobody has written to for so long; return how many."""
        return await self._in_thread(lambda: self._sweep(older_than_seconds))

    async def aclose(self) -> None:
        """Let the threads end; what was begun is finished."""
        self._threads.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        try:
            async with asyncio.timeout(OPERATION_SECONDS_MAX):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise StoreUnavailable(f"image store {self._root}: no answer in {OPERATION_SECONDS_MAX:.0f} s") from error
        except OSError as error:
            raise StoreUnavailable(f"image store {self._root}: {error.strerror or error}") from error

    # Names are plain text from here on: building paths as objects was half of a put's cost.

    def _put(self, data: bytes, facts: ImageFacts) -> StoredImage:
        image = stored_image(data, facts)
        try:
            self._place(image.key, data)
        except FileNotFoundError:  # somebody removed a folder that we had made
            self._durable = False
            self._place(image.key, data)
        return image

    def _place(self, key: str, data: bytes) -> None:
        self._make_durable()
        folder = f"{self._root}/{key[: key.index('/')]}"
        path = f"{self._root}/{key}"
        if not _has_size(path, len(data)):
            os.rename(self._write_incoming(data), path)  # noqa: PTH104 - see above
        _sync_folder(folder)  # also when it was there: its writer may not have come this far yet

    def _write_incoming(self, data: bytes) -> str:
        self._make_durable()
        path = f"{self._incoming}/{token_hex(16)}"
        try:
            _write(path, data)
        except OSError:
            Path(path).unlink(missing_ok=True)
            raise
        return path

    def _make_durable(self) -> None:
        """Make every folder, all their names on disk, once for this process: two syncs now instead of one at each."""
        if self._durable:
            return
        made = self._root
        while not made.parent.is_dir():
            made = made.parent
        self._root.mkdir(parents=True, exist_ok=True)
        for name in FOLDERS:
            (self._root / name).mkdir(exist_ok=True)
        for folder in (self._root, *self._root.parents):
            _sync_folder(str(folder))
            if folder == made.parent:
                break
        self._durable = True

    def _find(self, sha256: str) -> Path | None:
        paths = (self._root / key for key in keys_of(sha256))
        return next((path for path in paths if path.is_file()), None)

    def _get(self, sha256: str) -> bytes | None:
        path = self._find(sha256)
        return None if path is None else path.read_bytes()

    def _delete(self, sha256: str) -> bool:
        path = self._find(sha256)
        if path is None:
            return False
        path.unlink(missing_ok=True)
        _sync_folder(str(path.parent))
        return True

    def _sweep(self, older_than_seconds: float) -> int:
        incoming = self._root / INCOMING
        if not incoming.is_dir():
            return 0
        latest = time.time() - older_than_seconds
        leftovers = [path for path in incoming.iterdir() if _modified(path) <= latest]
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)


def _has_size(path: str, size_bytes: int) -> bool:
    try:
        return os.stat(path).st_size == size_bytes  # noqa: PTH116 - see above
    except FileNotFoundError:
        return False


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:  # every turn writes at least one byte or raises
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
