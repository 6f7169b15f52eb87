"""A stored result: the images of one call, as the cache keeps them under the form of what was asked for. Pure.

It refers to images by the SHA-256 of their bytes; the images themselves are in the image store, and a result whose
images are not all there any more is none.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from imagequeue.ledger.api import CacheHit, ImageRecord, JobFacts

VERSION: Final = 1
DELIVERY: Final = "cache"
"""What a cost says of a job that a stored result answered."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The images of one call, which job made it, and what it cost, in nano-dollars."""

    job_id: str
    org: str
    model: str
    usd_nano: int
    images: tuple[ImageRecord, ...]

    def encode(self) -> str:
        """Return the JSON text that is kept."""
        return json.dumps({"version": VERSION, **asdict(self)}, separators=(",", ":"), sort_keys=True)

    def hit(self) -> CacheHit:
        """Return how a job that it answers ends."""
        return CacheHit(images=self.images, saved_nano=self.usd_nano)


def decode(text: str | bytes) -> Stored | None:
    """Return the result in a text; None for anything else, which anybody with access to Redis may have written."""
    try:
        value = json.loads(text)
        if value.pop("version") != VERSION:
            return None
        images = tuple(_image(image) for image in value.pop("images"))
        stored = Stored(**value, images=images)
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
    return stored if _is_sound(stored) else None


def facts_of_hit(stored: Stored, facts: JobFacts) -> JobFacts:
    """Return what reports group a hit by: the job's own facts, and who made the images."""
    return JobFacts(
        model=stored.model,
        tenant=facts.tenant,
        priority=facts.priority,
        org=stored.org,
        delivery=DELIVERY,
        tags=facts.tags,
        intent=facts.intent,
        catalog_version=facts.catalog_version,
    )


def return_value(images: tuple[ImageRecord, ...], cost_usd: str) -> dict[str, Any]:
    """Return what RQ keeps as the return value of a job that succeeded."""
    shown = [
        {"sha256": image.sha256, "bytes": image.bytes, "width": image.width, "height": image.height}
        | {"format": image.format}
        for image in images
    ]
    return {"status": "succeeded", "images": shown, "cost_usd": cost_usd}


def _image(value: Mapping[str, Any]) -> ImageRecord:
    return ImageRecord(**value)


def _is_sound(stored: Stored) -> bool:
    texts = (stored.job_id, stored.org, stored.model, *(image.sha256 for image in stored.images))
    numbers = (stored.usd_nano, *(image.bytes for image in stored.images))
    return (
        bool(stored.images)
        and all(isinstance(text, str) for text in texts)
        and all(type(number) is int and number >= 0 for number in numbers)
    )
