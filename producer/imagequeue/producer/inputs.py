"""Input images on their way in: checked by their headers, kept in the store under their digest, noted as a tenant's.

A job names them by reference (`config/references`). Here what is given instead becomes one: bytes, a data URL and, for
programs on this machine only, a file. An http(s) address stays as it is; the worker fetches it, with a guard.
"""

import asyncio
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from imagequeue.config.catalog import Catalog, check_inputs
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import INPUT_IMAGES_MAX, Job
from imagequeue.config.references import ACCEPTED, is_address, reference_of, sha256_of
from imagequeue.ledger.api import ImageRecord
from imagequeue.ledger.ledger import Ledger
from imagequeue.store.formats import MEDIA_TYPES, NotAnImage, inspect
from imagequeue.store.store import ImageStore

INPUT_BYTES_MAX: Final = 50_000_000
"""The most that any known model takes in one image."""

AT_ONCE_MAX: Final = 4
"""Uploads that stand in memory at a time."""

_DATA_URL: Final = re.compile(r"data:([a-z0-9.+/-]{0,64});base64,", re.IGNORECASE)
_SAME_TYPE: Final = {"image/jpg": "image/jpeg", "": "", "application/octet-stream": ""}


class Inputs:
    """Keeps input images for tenants, and checks what jobs name."""

    def __init__(self, store: ImageStore, ledger: Ledger, catalog: Catalog) -> None:
        self._store = store
        self._ledger = ledger
        self._catalog = catalog
        self._at_once = asyncio.Semaphore(AT_ONCE_MAX)

    async def keep_from(
        self, tenant: str, read: Callable[[], Awaitable[bytes]], *, field: str, claimed_type: str = ""
    ) -> ImageRecord:
        """`keep` of bytes that are read when it is their turn, so that only AT_ONCE_MAX are in memory."""
        async with self._at_once:
            return await self.keep(tenant, await read(), field=field, claimed_type=claimed_type)

    async def keep(self, tenant: str, data: bytes, *, field: str, claimed_type: str = "") -> ImageRecord:
        """Return the record of an image once it is durable and the tenant's; JobRefused names the field.

        The bytes decide what it is; a `claimed_type` (a media type) that says otherwise is refused.
        """
        if len(data) > INPUT_BYTES_MAX:
            raise too_large(field)
        try:
            facts = inspect(data)
        except NotAnImage as error:
            raise JobRefused(field, str(error)) from error
        claimed = _SAME_TYPE.get(claimed_type.lower(), claimed_type.lower())
        if claimed and claimed != MEDIA_TYPES[facts.format]:
            raise JobRefused(field, f"it is said to be {claimed} and is {MEDIA_TYPES[facts.format]}")
        stored = await self._store.put(data, facts)
        record = ImageRecord(
            sha256=stored.sha256, bytes=stored.bytes, width=stored.width, height=stored.height, format=stored.format
        )
        await self._ledger.own_images(tenant, [record])
        return record

    async def taken_in(self, fields: Mapping[str, object], tenant: str, *, files: bool = False) -> Mapping[str, object]:
        """Return a job's fields with references where data URLs stood; with `files`, also for bytes and paths.

        Whatever else stands there is left for the job's own check.
        """
        changed: dict[str, object] = {}
        images, mask = fields.get("images"), fields.get("mask")
        if isinstance(images, Sequence) and not isinstance(images, str | bytes):
            if len(images) > INPUT_IMAGES_MAX:
                raise JobRefused("images", f"at most {INPUT_IMAGES_MAX} are accepted")
            changed["images"] = [
                await self.reference(one, tenant, f"images.{place}", files=files) for place, one in enumerate(images)
            ]
        if mask is not None:
            changed["mask"] = await self.reference(mask, tenant, "mask", files=files)
        return {**fields, **changed}

    async def check(self, job: Job) -> None:
        """JobRefused when a kept image that the job names is not its tenant's, or not what its models take.

        What stands behind an address is only known when the worker has fetched it.
        """
        names = [("mask", job.mask)] if job.mask else []
        references = [(f"images.{place}", text) for place, text in enumerate(job.images)] + names
        digests = {text: sha256 for _, text in references if (sha256 := sha256_of(text)) is not None}
        if not digests:
            return
        owned = await self._ledger.owned_images(job.tenant, set(digests.values()))
        for field, text in references:
            if text in digests and digests[text] not in owned:
                raise JobRefused(field, f"{text} is no image of tenant {job.tenant}; upload it first")
        found = [owned.get(digests.get(text, "")) for text in job.images]
        mask = owned.get(digests.get(job.mask, "")) if job.mask else None
        for name in (str(job.model), *job.overflow):
            check_inputs(found, mask, self._catalog.model(name))

    async def reference(self, given: object, tenant: str, field: str, *, files: bool) -> object:
        """Keep an image that is given whole and return its reference; whatever else is given as it is."""
        if isinstance(given, str) and given[:5].lower() == "data:":
            data, claimed_type = from_data_url(given, field)
        elif files and isinstance(given, bytes | bytearray | memoryview):
            data, claimed_type = bytes(given), ""
        elif files and is_path(given):
            data, claimed_type = await asyncio.to_thread(read_file, Path(str(given)), field), ""
        else:
            return given
        record = await self.keep(tenant, data, field=field, claimed_type=claimed_type)
        return reference_of(record.sha256)


def needs_keeping(fields: Mapping[str, object], *, files: bool = False) -> bool:
    """Return whether a job's fields hold images that have to be taken in first."""
    images = fields.get("images")
    many = list(images) if isinstance(images, Sequence) and not isinstance(images, str | bytes) else []
    return any(_given_whole(one, files=files) for one in (*many, fields.get("mask")))


def _given_whole(given: object, *, files: bool) -> bool:
    if isinstance(given, str) and given[:5].lower() == "data:":
        return True
    return files and (isinstance(given, bytes | bytearray | memoryview) or is_path(given))


def is_path(given: object) -> bool:
    """Return whether a program on this machine means a file by this."""
    return isinstance(given, Path) or (
        isinstance(given, str) and bool(given) and sha256_of(given) is None and not is_address(given)
    )


def read_file(path: Path, field: str) -> bytes:
    """Return a file's bytes; JobRefused when it cannot be read or is too large."""
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(INPUT_BYTES_MAX + 1)
    except OSError as error:
        raise JobRefused(field, f"cannot read {path}: {error.strerror}; accepted: a file, {ACCEPTED}") from error
    except ValueError as error:
        raise JobRefused(field, f"cannot read {path}: {error}") from error
    if len(data) > INPUT_BYTES_MAX:
        raise too_large(field)
    return data


def from_data_url(text: str, field: str) -> tuple[bytes, str]:
    """Return the bytes in a base64 data URL and the media type that it claims; JobRefused names the field."""
    found = _DATA_URL.match(text)
    if found is None:
        raise JobRefused(field, "a data URL of base64 is accepted: data:image/png;base64,...")
    if (len(text) - found.end()) * 3 // 4 > INPUT_BYTES_MAX + 3:
        raise too_large(field)
    try:
        return binascii.a2b_base64(text[found.end() :], strict_mode=True), found[1]
    except ValueError as error:  # binascii.Error, or text that is not ASCII
        raise JobRefused(field, f"a data URL that is not base64: {error}") from error


def too_large(field: str) -> JobRefused:
    """The refusal of an image that no model takes."""
    return JobRefused(field, f"an image of at most {INPUT_BYTES_MAX} bytes is accepted")
