"""A folder of thumbnails by the digest of their image: so many at most, the oldest go; every one can be made again."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

FOLDERS: Final = 256
FILES_PER_FOLDER_MAX: Final = 200
"""About 50,000 thumbnails of some 8 kB in all."""
BYTES_MAX: Final = 1 << 20


class ThumbnailFolder:
    """Reads and writes files of `<folder>/ab/<sha256>.webp`. A file that cannot be used is as good as none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, sha256: str) -> bytes | None:
        """Return a thumbnail, None when there is none."""
        try:
            data = self._path(sha256).read_bytes()
        except OSError:
            return None
        return data if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None

    def put(self, sha256: str, data: bytes) -> None:
        """Keep a thumbnail if it can be; a full disk costs only the time to make it again."""
        path = self._path(sha256)
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(path.parent)
            part.write_bytes(data[:BYTES_MAX])
            part.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _make_room(self, folder: Path) -> None:
        entries = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(folder)]
        for _, oldest in sorted(entries)[: max(0, len(entries) + 1 - FILES_PER_FOLDER_MAX)]:
            Path(oldest).unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.webp"
