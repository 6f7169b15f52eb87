"""The input images of an edit or a variation, in hand for its call: kept ones from the store, addresses fetched.

What is fetched is kept too, under its digest and as its tenant's. A kept image is used only for the tenant whose it
is, whoever wrote the job. How many bytes of inputs one worker holds at a time is bounded: a job waits for room.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from imagequeue.config.catalog import Model, check_inputs
from imagequeue.config.errors import ImageQueueError, JobRefused
from imagequeue.config.job import Job
from imagequeue.config.references import sha256_of
from imagequeue.ledger.api import ImageRecord
from imagequeue.ledger.ledger import Ledger
from imagequeue.store.formats import MEDIA_TYPES, SUFFIXES, ImageFacts, NotAnImage, inspect
from imagequeue.store.store import ImageStore, StoredImage
from imagequeue.worker.call import Files
from imagequeue.worker.download import Downloader, NotFetched

BYTES_IN_HAND_MAX = 512 * 1024 * 1024


class BadInput(ImageQueueError):
    """An input image cannot be used. `temporary`: another try may help."""

    def __init__(self, code: str, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.temporary = temporary


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One input image: its bytes, and what its header says."""

    data: bytes
    facts: ImageFacts

    @property
    def bytes(self) -> int:
        """Its length."""
        return len(self.data)

    @property
    def width(self) -> int:
        """Its width in pixels."""
        return self.facts.width

    @property
    def height(self) -> int:
        """Its height in pixels."""
        return self.facts.height

    @property
    def format(self) -> str:
        """Its format's name."""
        return self.facts.format


class Room:
    """So many bytes at a time; who comes when it is full waits, in turn. More than there is at all is taken as all."""

    def __init__(self, bytes_max: int = BYTES_IN_HAND_MAX) -> None:
        self._max = bytes_max
        self._taken = 0
        self._freed = asyncio.Condition()
        self._turn = asyncio.Lock()  # the first who waits is not passed by those who need less

    @asynccontextmanager
    async def of(self, wanted: int) -> AsyncIterator[None]:
        """Hold room for the length of a block."""
        share = min(wanted, self._max)
        async with self._turn, self._freed:
            await self._freed.wait_for(lambda: self._taken + share <= self._max)
            self._taken += share
        try:
            yield
        finally:
            self._taken -= share
            async with self._freed:
                self._freed.notify_all()


class Inputs:
    """Gives jobs their input images."""

    def __init__(self, store: ImageStore, ledger: Ledger, downloader: Downloader, room: Room) -> None:
        self._store = store
        self._ledger = ledger
        self._downloader = downloader
        self._room = room

    @asynccontextmanager
    async def of(self, job: Job, model: Model) -> AsyncIterator[Files]:
        """Hold a job's input images as the call's files for the length of a block; none for a job without.

        BadInput says which of them cannot be used; Unavailable, that store or ledger does not answer.
        """
        references = _references(job)
        if not references:
            yield []
            return
        kept = await self._kept(job, references)
        needed = sum(kept[sha256].bytes if sha256 else model.accepts.image_bytes_max for _, _, sha256 in references)
        async with self._room.of(needed):
            found = [await self._one(job, model, field, text, sha256) for field, text, sha256 in references]
            yield _files(job, model, found)

    async def _kept(self, job: Job, references: "Sequence[Reference]") -> Mapping[str, ImageRecord]:
        digests = {sha256 for _, _, sha256 in references if sha256 is not None}
        kept = await self._ledger.owned_images(job.tenant, digests)
        for field, text, sha256 in references:
            if sha256 is not None and sha256 not in kept:
                raise BadInput("input_not_found", f"{field}: {text} is no image of tenant {job.tenant}")
        return kept

    async def _one(self, job: Job, model: Model, field: str, text: str, sha256: str | None) -> Input:
        if sha256 is None:
            return await self._fetched(job, model, field, text)
        data = await self._store.get(sha256)
        if data is None:
            raise BadInput("input_not_found", f"{field}: {text} is not in the store any more")
        return Input(data=data, facts=_facts(field, data))

    async def _fetched(self, job: Job, model: Model, field: str, url: str) -> Input:
        try:
            data = await self._downloader.fetch_input(url, model.accepts.image_bytes_max)
        except NotFetched as error:
            raise BadInput("input_not_fetched", f"{field}: {error}", temporary=error.temporary) from error
        facts = _facts(field, data)
        stored = await self._store.put(data, facts)
        await self._ledger.own_images(job.tenant, [_record(stored)])
        return Input(data=data, facts=facts)


Reference = tuple[str, str, str | None]
"""The job's field, what it says, and the digest in it; None for an address."""


def _references(job: Job) -> list[Reference]:
    named = [(f"images.{place}", text) for place, text in enumerate(job.images)]
    if job.mask is not None:
        named.append(("mask", job.mask))
    return [(field, text, sha256_of(text)) for field, text in named]


def _facts(field: str, data: bytes) -> ImageFacts:
    try:
        return inspect(data)
    except NotAnImage as error:
        raise BadInput("invalid_image_file", f"{field}: {error}") from error


def _files(job: Job, model: Model, found: Sequence[Input]) -> Files:
    """The form's files, named as the API's own client names them; file names are ours."""
    images, mask = found[: len(job.images)], found[len(job.images) :]
    try:
        check_inputs(images, mask[0] if mask else None, model)
    except JobRefused as error:
        raise BadInput("invalid_image_file", str(error)) from error
    name = "image" if len(images) == 1 else "image[]"
    files = [_file(name, f"image-{place}", image) for place, image in enumerate(images)]
    return [*files, *(_file("mask", "mask", image) for image in mask)]


def _file(name: str, called: str, image: Input) -> tuple[str, tuple[str, bytes, str]]:
    suffix, media_type = SUFFIXES[image.facts.format], MEDIA_TYPES[image.facts.format]
    return name, (f"{called}.{suffix}", image.data, media_type)


def _record(stored: StoredImage) -> ImageRecord:
    return ImageRecord(
        sha256=stored.sha256, bytes=stored.bytes, width=stored.width, height=stored.height, format=stored.format
    )
