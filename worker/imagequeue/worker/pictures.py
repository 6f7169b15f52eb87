"""The images in an answer: decoded or fetched, measured and checked as untrusted bytes."""

import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from imagequeue.config.errors import ImageQueueError
from imagequeue.store.formats import ImageFacts, NotAnImage, inspect
from imagequeue.worker.download import NotFetched

IMAGES_MAX = 16

Fetch = Callable[[str], Awaitable[bytes]]
"""Gives the bytes behind an address of the answer; NotFetched when they cannot be had."""


class BadPicture(ImageQueueError):
    """An answer's image is not usable; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One image of an answer, checked but not stored."""

    data: bytes
    facts: ImageFacts
    revised_prompt: str | None


async def pictures_of(body: Mapping[str, Any], fetch: Fetch) -> tuple[Picture, ...]:
    """Return the answer's images; BadPicture when one is missing, cannot be had, or is no image that we know."""
    items = body["data"]
    if len(items) > IMAGES_MAX:
        raise BadPicture(f"{len(items)} images in one answer, at most {IMAGES_MAX} are accepted")
    return tuple([await _picture(item, fetch) for item in items])


async def _picture(item: object, fetch: Fetch) -> Picture:
    if not isinstance(item, Mapping):
        raise BadPicture("an image that is no object")
    data = await _data(item, fetch)
    try:
        facts = inspect(data)
    except NotAnImage as error:
        raise BadPicture(f"an image that is none: {error}") from error
    revised = item.get("revised_prompt")
    return Picture(data=data, facts=facts, revised_prompt=revised if isinstance(revised, str) else None)


async def _data(item: Mapping[str, Any], fetch: Fetch) -> bytes:
    encoded, url = item.get("b64_json"), item.get("url")
    if isinstance(encoded, str):
        try:
            return binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError as error:  # binascii.Error, or text that is not ASCII
            raise BadPicture(f"an image that is not base64: {error}") from error
    if isinstance(url, str):
        try:
            return await fetch(url)
        except NotFetched as error:
            raise BadPicture(str(error)) from error
    raise BadPicture("an image without b64_json and without url")
