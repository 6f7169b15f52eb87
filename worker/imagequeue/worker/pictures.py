"""The images in an answer: decoded, measured and checked as untrusted bytes."""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagequeue.config.errors import ImageQueueError
from imagequeue.store.formats import ImageFacts, NotAnImage, inspect

IMAGES_MAX = 16


class BadPicture(ImageQueueError):
    """An answer's image is not usable; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One image of an answer, checked but not stored."""

    data: bytes
    facts: ImageFacts
    revised_prompt: str | None


def pictures_of(body: Mapping[str, Any]) -> tuple[Picture, ...]:
    """Return the answer's base64 images; BadPicture when one is missing, no base64, or no image that we know."""
    items = body["data"]
    if len(items) > IMAGES_MAX:
        raise BadPicture(f"{len(items)} images in one answer, at most {IMAGES_MAX} are accepted")
    return tuple(_picture(item) for item in items)


def _picture(item: object) -> Picture:
    encoded = item.get("b64_json") if isinstance(item, Mapping) else None
    if not isinstance(encoded, str) or not isinstance(item, Mapping):
        raise BadPicture("an image without b64_json")
    try:
        data = binascii.a2b_base64(encoded, strict_mode=True)
        facts = inspect(data)
    except ValueError as error:  # binascii.Error, or text that is not ASCII
        raise BadPicture(f"an image that is not base64: {error}") from error
    except NotAnImage as error:
        raise BadPicture(f"an image that is none: {error}") from error
    revised = item.get("revised_prompt")
    return Picture(data=data, facts=facts, revised_prompt=revised if isinstance(revised, str) else None)
