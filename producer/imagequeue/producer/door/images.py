"""Images over HTTP: immutable, under the SHA-256 of their bytes, for a key or for a signed link."""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imagequeue.config.errors import NotFound
from imagequeue.producer.door.access import Caller
from imagequeue.producer.door.links import is_good
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import forbidden, not_of_tenant
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.ranges import wanted_part
from imagequeue.producer.door.serving import let_in, route
from imagequeue.store.formats import MEDIA_TYPES, SUFFIXES, NotAnImage, inspect

SHA256: Final = re.compile(r"[0-9a-f]{64}")
CACHE_SECONDS: Final = 31_536_000
CONTENT_POLICY: Final = "default-src 'none'; sandbox"


def image_routes() -> list[Route]:
    """Return the route of images. It lets everybody in, since a signature may stand for a key."""
    return [route("/v1/images/{sha256}", "GET", show_image, scope=None)]


async def show_image(asked: Asked) -> Response:
    """Send an image, or the part of it that is asked for; 304 when the client has it already.

    What a key opens is for that client's own cache. What opens without one, by a signed link or at a door without keys,
    a cache in front of the door may keep and give to others, a signed link for as long as it holds.
    """
    sha256 = str(asked.request.path_params["sha256"])
    check_known(asked.request.query_params, ("expires", "signature", "download"))
    caller = await asker(asked)
    await check_may_see(asked, caller, sha256)
    data = await _data(asked, sha256)
    if data is None:
        raise no_image(sha256)
    return _answer(asked.request, sha256, data, cache_control(asked, caller))


async def asker(asked: Asked) -> Caller | None:
    """Return who asks for an image; None for whoever comes with a signed link instead of a key."""
    if "signature" in asked.request.query_params and "authorization" not in asked.request.headers:
        return None
    return await let_in(asked.request, asked.door, "read")


async def check_may_see(asked: Asked, caller: Caller | None, sha256: str) -> None:
    """NotFound for no digest; Problem 403 unless the signature is good, or the image is one of the key's tenant.

    To a tenant's key every other digest is 403, also one that nobody has: whoever holds a picture can compute its
    digest, and shall not learn whether somebody else here works with the same picture. The image is not looked for
    before, so the time that an answer takes does not tell it either.
    """
    if not SHA256.fullmatch(sha256):
        raise no_image(sha256)
    if caller is None:
        _check_signature(asked, sha256)
    elif caller.tenant is not None and not await asked.door.owners.owns(caller.tenant, sha256):
        raise not_of_tenant("the tenant of this key has no such image")


def no_image(sha256: str) -> NotFound:
    """Return the refusal of an image that there is not."""
    return NotFound(f"image {sha256[:64]}: there is none of this digest")


async def _data(asked: Asked, sha256: str) -> bytes | None:
    """The image's bytes, empty when the client has them already; None when there is none of this digest."""
    if is_known_to_client(asked.request, sha256):
        return b"" if await asked.door.store.exists(sha256) else None
    return await asked.door.store.get(sha256)


def is_known_to_client(request: Request, tag: str) -> bool:
    """Return whether the client says that it has what this entity tag names."""
    given = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return "*" in given or f'"{tag}"' in given


def cache_control(asked: Asked, caller: Caller | None) -> str:
    """Return how long and for whom the answer may be kept."""
    seconds, whose = CACHE_SECONDS, "public"
    if caller is None:
        seconds = max(int(asked.request.query_params["expires"]) - int(asked.door.clock.now().timestamp()), 0)
    elif caller.key is not None:
        whose = "private"
    return f"{whose}, max-age={min(seconds, CACHE_SECONDS)}, immutable"


def _check_signature(asked: Asked, sha256: str) -> None:
    query, secret = asked.request.query_params, asked.door.access.link_secret
    expires, signature = query.get("expires", ""), query.get("signature", "")
    if secret is None or not is_good(sha256, expires, signature, secret, asked.door.clock.now()):
        raise forbidden("this link is not ours or has expired; ask for the image again")


def _answer(request: Request, sha256: str, data: bytes, cache_control: str) -> Response:
    headers = {"ETag": f'"{sha256}"', "Cache-Control": cache_control, "Content-Security-Policy": CONTENT_POLICY}
    headers["Vary"] = "Authorization"
    if is_known_to_client(request, sha256):
        return Response(status_code=304, headers=headers)
    try:
        image_format = inspect(data).format
    except NotAnImage as error:
        raise NotFound(f"image {sha256}: what is stored is no image") from error
    placed = "attachment" if "download" in request.query_params else "inline"
    headers["Content-Disposition"] = f'{placed}; filename="{sha256}.{SUFFIXES[image_format]}"'
    headers["Accept-Ranges"] = "bytes"
    part = wanted_part(request.headers, sha256, len(data))
    if part is None:
        return Response(data, headers=headers, media_type=MEDIA_TYPES[image_format])
    first, last = part
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(data[first : last + 1], 206, headers, MEDIA_TYPES[image_format])
