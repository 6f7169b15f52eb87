"""Images in a bucket: Amazon S3 and what speaks its language, Google Cloud Storage, Azure Blob Storage.

The library's blocking calls run in threads of ours. Its asynchronous ones answer from threads that the interpreter does
not know: a process that ended right after one was aborted (SIGABRT) in 12 of 65 runs, with the blocking ones in 0 of
40. See https://github.com/PyO3/pyo3-async-runtimes/issues/40.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from obstore import delete, get, head, list_with_delimiter, put
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from imagequeue.config.errors import ConfigError, StoreUnavailable
from imagequeue.store.formats import MEDIA_TYPES, ImageFacts
from imagequeue.store.store import StoredImage, keys_of, stored_image

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import ObjectStore, RetryConfig

OPERATION_SECONDS_MAX: Final = 60.0
RETRIES_MAX: Final = 4
THREADS_MAX: Final = 64  # 150 images a second at 0.4 s each; a thread waits without the interpreter's lock
KEPT_FOR_EVER: Final = "public, max-age=31536000, immutable"  # a key names its content, so it never changes
_PROBE: Final = "imagequeue-ping"

Result = TypeVar("Result")


def open_bucket(url: str) -> "BucketStore":
    """Return the store at an `s3://`, `gs://` or `az://` URL; ConfigError when the settings do not fit together.

    One request may take the library's standard 30 s: options of our own would hide those of the environment, such as
    AWS_ALLOW_HTTP for a store on the own network.
    """
    retry: RetryConfig = {"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=OPERATION_SECONDS_MAX)}
    opened: ObjectStore
    try:
        if url.startswith("s3:"):  # the server compares this checksum with what arrived before it answers
            opened = S3Store.from_url(url, checksum_algorithm="SHA256", retry_config=retry)
        elif url.startswith("gs:"):
            opened = GCSStore.from_url(url, retry_config=retry)
        else:
            opened = AzureStore.from_url(url, retry_config=retry)
    except (BaseError, ValueError) as error:
        raise ConfigError(f"IMAGEQUEUE_STORE_URL: {_one_line(error)}") from error
    return BucketStore(opened, name=f"{urlsplit(url).scheme}://{urlsplit(url).netloc}")


class BucketStore:
    """An `ImageStore` in a bucket. Puts are whole: a reader sees all of an image or nothing."""

    def __init__(self, bucket: "ObjectStore", *, name: str) -> None:
        self._bucket = bucket
        self._name = name
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="imagequeue-store")

    async def put(self, data: bytes, facts: ImageFacts) -> StoredImage:
        """Return once the service has confirmed the image; writing the same content again changes nothing."""
        return await self._in_thread(lambda: self._put(data, facts))

    async def get(self, sha256: str) -> bytes | None:
        """Return the image's bytes, or None."""
        return await self._in_thread(lambda: self._get(sha256))

    async def exists(self, sha256: str) -> bool:
        """Return whether the image is there."""
        return await self._in_thread(lambda: self._key(sha256)) is not None

    async def delete(self, sha256: str) -> bool:
        """Remove the image; return whether it was there."""
        return await self._in_thread(lambda: self._delete(sha256))

    async def ping(self) -> None:
        """List a name that need not exist: the answer shows address, credentials, bucket and the right to look."""
        await self._in_thread(lambda: list_with_delimiter(self._bucket, _PROBE))

    async def sweep_temporary(self, older_than_seconds: float) -> int:
        """Return 0: a put that did not end leaves nothing in a bucket."""
        return 0

    async def aclose(self) -> None:
        """Let the threads end; what was begun is finished."""
        self._threads.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        try:
            async with asyncio.timeout(OPERATION_SECONDS_MAX):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise StoreUnavailable(f"image store {self._name}: no answer in {OPERATION_SECONDS_MAX:.0f} s") from error
        except FileNotFoundError as error:
            raise StoreUnavailable(f"image store {self._name}: there is no such bucket") from error
        except (BaseError, OSError, ValueError) as error:
            raise StoreUnavailable(f"image store {self._name}: {_one_line(error)}") from error

    def _put(self, data: bytes, facts: ImageFacts) -> StoredImage:
        image = stored_image(data, facts)
        attributes: Attributes = {"Content-Type": MEDIA_TYPES[facts.format], "Cache-Control": KEPT_FOR_EVER}
        put(self._bucket, image.key, data, attributes=attributes, use_multipart=False)
        return image

    def _get(self, sha256: str) -> bytes | None:
        for key in keys_of(sha256):
            try:
                return bytes(get(self._bucket, key).bytes())
            except FileNotFoundError:
                continue
        return None

    def _key(self, sha256: str) -> str | None:
        return next((key for key in keys_of(sha256) if self._has(key)), None)

    def _has(self, key: str) -> bool:
        try:
            head(self._bucket, key)
        except FileNotFoundError:
            return False
        return True

    def _delete(self, sha256: str) -> bool:
        key = self._key(sha256)
        if key is None:
            return False
        delete(self._bucket, key)
        return True


def _one_line(error: Exception) -> str:
    """Return the part of the library's many-line message that a person can act on."""
    return " ".join(str(error).split("\n\nDebug source", 1)[0].split())[:300]
