"""The store seen from outside: what it promises, and how one is opened by its URL."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from imagequeue.config.errors import ConfigError
from imagequeue.store.formats import SUFFIXES, ImageFacts, ImageFormat

SCHEMES: Final = ("file", "s3", "gs", "az")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredImage:
    """One durable image. `sha256` is lower-case hex, `bytes` its length, `key` its name inside the store."""

    sha256: str
    bytes: int
    width: int
    height: int
    format: ImageFormat
    key: str


class ImageStore(Protocol):
    """Keeps images under the SHA-256 of their bytes. Every method raises StoreUnavailable when it cannot work."""

    async def put(self, data: bytes, facts: ImageFacts) -> StoredImage:
        """Return once the image is durable; the same bytes may come any number of times."""
        ...

    async def get(self, sha256: str) -> bytes | None:
        """Return the image's bytes, or None when there is none of that name."""
        ...

    async def exists(self, sha256: str) -> bool:
        """Return whether the image is there."""
        ...

    async def delete(self, sha256: str) -> bool:
        """Remove the image; return whether it was there."""
        ...

    async def ping(self) -> None:
        """Return when the store can be reached and, for a folder, written."""
        ...

    async def sweep_temporary(self, older_than_seconds: float) -> int:
        """Remove what killed writers left behind and return how many; never an image."""
        ...

    async def aclose(self) -> None:
        """Give back threads and connections."""
        ...


def open_store(store_url: str) -> ImageStore:
    """Return the store at a `file://`, `s3://`, `gs://` or `az://` URL; ConfigError when it is no such URL.

    Credentials come from the environment that the clouds' own tools use (AWS_*, GOOGLE_*, AZURE_*), never from
    the URL. A path in a file URL is percent-decoded.
    """
    scheme, separator, rest = store_url.partition("://")
    if not separator or scheme not in SCHEMES or not rest.strip("/"):
        raise ConfigError(f"IMAGEQUEUE_STORE_URL: one of {', '.join(f'{name}://...' for name in SCHEMES)} is accepted")
    if scheme == "file":
        return _open_folder(unquote(rest))
    if urlsplit(store_url).username is not None:
        raise ConfigError("IMAGEQUEUE_STORE_URL: credentials belong in the environment, not in the URL")
    from imagequeue.store.objects import open_bucket

    return open_bucket(store_url)


def _open_folder(path: str) -> ImageStore:
    from imagequeue.store.folder import FolderStore

    if not path.startswith("/"):
        raise ConfigError(f"IMAGEQUEUE_STORE_URL: file:// needs an absolute path, as in file:///{path}")
    return FolderStore(Path(path))


def key_of(sha256: str, image_format: ImageFormat) -> str:
    """Return an image's name inside the store, `ab/<sha256>.<suffix>`: 256 folders, soon all made durable once."""
    return f"{sha256[:2]}/{sha256}.{SUFFIXES[image_format]}"


def keys_of(sha256: str) -> tuple[str, ...]:
    """Return every name that an image may have, the likeliest first; none when `sha256` is no such digest."""
    if not _SHA256.fullmatch(sha256):
        return ()
    return tuple(key_of(sha256, image_format) for image_format in SUFFIXES)


def stored_image(data: bytes, facts: ImageFacts) -> StoredImage:
    """Return the record of an image under its content's digest. Pure; costs one SHA-256 over the bytes."""
    sha256 = hashlib.sha256(data).hexdigest()
    return StoredImage(
        sha256=sha256,
        bytes=len(data),
        width=facts.width,
        height=facts.height,
        format=facts.format,
        key=key_of(sha256, facts.format),
    )
