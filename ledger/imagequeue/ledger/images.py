"""Whose an image is: of each tenant that gave it in, or whose job made it or was answered with it."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from imagequeue.ledger.api import ImageRecord
from imagequeue.ledger.operations import Operation
from imagequeue.ledger.schema import image
from imagequeue.ledger.unit import Unit

IMAGES_PER_CALL_MAX: Final = 500  # well below SQLite's and PostgreSQL's limits on parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnImages(Operation[int]):
    """Note that images, durable in the store, are a tenant's."""

    tenant: str
    images: tuple[ImageRecord, ...]

    @property
    def subject(self) -> Hashable:
        """Return the operation itself: the same image may come twice in one transaction."""
        return id(self)


def own(unit: Unit, tenant: str, images: Collection[ImageRecord]) -> int:
    """Note whose the images are, once; return how many were named."""
    for one in images:
        row = {
            "sha256": one.sha256,
            "tenant": tenant,
            "bytes": one.bytes,
            "width": one.width,
            "height": one.height,
            "format": one.format,
            "first_at_us": unit.now_us,
        }
        unit.images.setdefault((one.sha256, tenant), row)
    return len(images)


def owned_images(connection: Connection, tenant: str, sha256s: Collection[str]) -> dict[str, ImageRecord]:
    """Return those of the images that are the tenant's, by digest; at most IMAGES_PER_CALL_MAX may be asked for."""
    if len(sha256s) > IMAGES_PER_CALL_MAX:
        raise ValueError(f"sha256s: at most {IMAGES_PER_CALL_MAX}")
    query = select(image).where(image.c.sha256.in_(sorted(sha256s)), image.c.tenant == tenant)
    return {
        row["sha256"]: ImageRecord(
            sha256=row["sha256"],
            bytes=row["bytes"],
            width=row["width"],
            height=row["height"],
            format=row["format"],
        )
        for row in connection.execute(query).mappings()
    }
