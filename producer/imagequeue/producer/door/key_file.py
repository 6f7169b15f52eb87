"""The file of the door's keys: read when it changes, replaced whole, one writer at a time, for its owner's eyes only.

Written to a temporary file, synced and renamed: a reader sees the old keys or the new ones, never a part.
"""

import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_serializer

from imagequeue.config.errors import ConfigError, NotFound
from imagequeue.config.locks import locked
from imagequeue.producer.door.keys import KeyRecord

LOCK_SECONDS_MAX: Final = 10.0
KEYS_MAX: Final = 10_000
FILE_BYTES_MAX: Final = 16 * 1024 * 1024
LINK_SECRET_BYTES: Final = 32

Stamp = tuple[int, int, int]


class KeyBook(BaseModel):
    """All keys, and the secret that signs image links."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    version: Literal[1] = 1
    link_secret: SecretStr = Field(default_factory=lambda: SecretStr(secrets.token_hex(LINK_SECRET_BYTES)))
    keys: Annotated[tuple[KeyRecord, ...], Field(max_length=KEYS_MAX)] = ()

    @field_serializer("link_secret", when_used="json")
    def _written(self, link_secret: SecretStr) -> str:
        return link_secret.get_secret_value()


class KeyFile:
    """The keys at a path. ConfigError names the file when it cannot be used; one that is not there holds no keys."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: Stamp | None = None
        self._book: KeyBook | None = None

    def book(self) -> KeyBook | None:
        """Return the keys as they are now, None when there is no file; reads it only when it has changed."""
        try:
            stamp = _stamp(os.stat(self.path))  # noqa: PTH116 - once for each request; the object costs twice as much
        except FileNotFoundError:
            self._stamp = self._book = None
            return None
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}") from error
        if stamp != self._stamp:
            self._book = _read(self.path)
            self._stamp = stamp
        return self._book

    def add(self, record: KeyRecord) -> None:
        """Keep one more key."""
        self._change(lambda book: book.model_copy(update={"keys": (*_room(book, self.path).keys, record)}))

    def revoke(self, key_id: str, now: datetime) -> KeyRecord:
        """Close a key for ever and return it; NotFound when there is none of that id. Again is no mistake."""
        self._change(lambda book: _revoked(book, key_id, now))
        return _by_id(_read(self.path), key_id)

    def _change(self, change: Callable[[KeyBook], KeyBook]) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.path.with_name(f"{self.path.name}.lock"), LOCK_SECONDS_MAX):
            book = _read(self.path) if self.path.exists() else KeyBook()
            _replace(self.path, change(book).model_dump_json(indent=1).encode())


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> KeyBook:
    try:
        with path.open("rb") as file:
            return KeyBook.model_validate_json(file.read(FILE_BYTES_MAX))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ConfigError(f"{path}: no file of keys that `imagequeue keys` wrote: {where}: {first['msg']}") from None


def _room(book: KeyBook, path: Path) -> KeyBook:
    if len(book.keys) >= KEYS_MAX:
        raise ConfigError(f"{path}: at most {KEYS_MAX} keys, revoked ones included")
    return book


def _by_id(book: KeyBook, key_id: str) -> KeyRecord:
    for record in book.keys:
        if record.id == key_id:
            return record
    raise NotFound(f"key {key_id}: there is none of this id; `imagequeue keys list` shows all")


def _revoked(book: KeyBook, key_id: str, now: datetime) -> KeyBook:
    found = _by_id(book, key_id)
    if found.revoked_at is not None:
        return book
    closed = found.model_copy(update={"revoked_at": now})
    return book.model_copy(update={"keys": tuple(closed if key is found else key for key in book.keys)})


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
