"""Thumbnails over HTTP: made by us from the stored image, for whoever may see it, and kept in the data dir."""

import asyncio
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from imagequeue.config.errors import NotFound
from imagequeue.producer.door.images import (
    CONTENT_POLICY,
    asker,
    cache_control,
    check_may_see,
    is_known_to_client,
    no_image,
)
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route
from imagequeue.producer.shrinking import MEDIA_TYPE, NotShrunk, shrink
from imagequeue.producer.thumbnail_folder import ThumbnailFolder

SHRINKING_MAX: Final = 1
"""At once: what a picture decodes to is in memory for each."""


def thumbnail_routes() -> list[Route]:
    """Return the route of thumbnails. It lets everybody in, since a signature may stand for a key."""
    return [route("/v1/images/{sha256}/thumbnail", "GET", Thumbnails().show_thumbnail, scope=None)]


class Thumbnails:
    """Makes a thumbnail once and keeps it; few are made at a time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(SHRINKING_MAX)

    async def show_thumbnail(self, asked: Asked) -> Response:
        """Send a small picture of an image; 304 when the client has it already.

        Who may see the image may see its thumbnail, by key or by the same signed link; it never changes either.
        """
        sha256 = str(asked.request.path_params["sha256"])
        check_known(asked.request.query_params, ("expires", "signature"))
        caller = await asker(asked)
        await check_may_see(asked, caller, sha256)
        if not await asked.door.store.exists(sha256):
            raise no_image(sha256)
        tag = f"{sha256}-thumbnail"
        headers = {
            "ETag": f'"{tag}"',
            "Cache-Control": cache_control(asked, caller),
            "Content-Security-Policy": CONTENT_POLICY,
            "Vary": "Authorization",
        }
        if is_known_to_client(asked.request, tag):
            return Response(status_code=304, headers=headers)
        data = await self._thumbnail(asked, sha256)
        headers["Content-Disposition"] = f'inline; filename="{sha256}-thumbnail.webp"'
        return Response(data, headers=headers, media_type=MEDIA_TYPE)

    async def _thumbnail(self, asked: Asked, sha256: str) -> bytes:
        folder = ThumbnailFolder(asked.door.settings.data_dir / "thumbnails")
        found = await asyncio.to_thread(folder.get, sha256)
        if found is not None:
            return found
        async with self._turns:
            found = await asyncio.to_thread(folder.get, sha256)  # another may have made it meanwhile
            return found or await self._made(asked, folder, sha256)

    async def _made(self, asked: Asked, folder: ThumbnailFolder, sha256: str) -> bytes:
        data = await asked.door.store.get(sha256)
        if data is None:
            raise NotFound(f"image {sha256}: there is none of this digest")
        try:
            made = await asyncio.to_thread(shrink, data)
        except NotShrunk as error:
            raise NotFound(f"image {sha256}: no thumbnail can be made of it: {error}") from error
        await asyncio.to_thread(folder.put, sha256, made)
        return made
