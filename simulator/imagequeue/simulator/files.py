"""The provider's files: what was uploaded for batches, and what batches wrote. Kept in memory."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

FILE_BYTES_MAX: Final = 536_870_912
FILES_MAX: Final = 10_000

Lines = Callable[[], Iterator[bytes]]
"""Writes a file's lines anew each time, so that a hundred thousand images need no memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """One file of an organization. `content` for uploads, `lines` for what a batch wrote."""

    id: str
    org: str
    filename: str
    purpose: str
    created_at: int
    content: bytes = b""
    lines: Lines | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the content."""
        return iter((self.content,)) if self.lines is None else self.lines()

    def as_json(self) -> dict[str, object]:
        """Return the provider's file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
        }


class Files:
    """Files by id; beyond FILES_MAX the oldest is gone."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, StoredFile] = OrderedDict()

    def add(
        self, *, org: str, filename: str, purpose: str, content: bytes = b"", lines: Lines | None = None
    ) -> StoredFile:
        """Store a file under a new id."""
        file = StoredFile(
            id=f"file-{secrets.token_hex(12)}",
            org=org,
            filename=filename,
            purpose=purpose,
            created_at=int(time.time()),
            content=content,
            lines=lines,
        )
        self._files[file.id] = file
        if len(self._files) > FILES_MAX:
            self._files.popitem(last=False)
        return file

    def get(self, file_id: str, org: str) -> StoredFile | None:
        """Return an organization's file."""
        file = self._files.get(file_id)
        return file if file is not None and file.org == org else None

    def remove(self, file_id: str) -> None:
        """Forget a file."""
        self._files.pop(file_id, None)

    def of(self, org: str, purpose: str | None) -> list[StoredFile]:
        """Return an organization's files, the newest first."""
        return [file for file in reversed(self._files.values()) if file.org == org and purpose in (None, file.purpose)]

    def clear(self) -> None:
        """Forget all."""
        self._files.clear()
