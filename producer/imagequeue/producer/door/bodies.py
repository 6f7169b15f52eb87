"""Reading request bodies: bytes are counted as they come, whatever the headers say; JSON is decoded strictly."""

from collections.abc import AsyncIterator
from typing import Final

from pydantic_core import from_json
from starlette.requests import Request

from imagequeue.producer.door.problems import Problem, too_large

JSON_BYTES_MAX: Final = 1_048_576
BULK_BYTES_MAX: Final = 209_715_200
PLAIN: Final = ("", "identity")


async def read_json(request: Request, *, empty: object = ..., bytes_max: int = JSON_BYTES_MAX) -> object:
    """Return the decoded body; `empty` for no body at all when that is given. Problem 400 or 413 otherwise."""
    body = await read_body(request, bytes_max)
    if not body and empty is not ...:
        return empty
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(400, f"body: valid JSON is needed: {error}", code="invalid_json", param="body") from error


async def read_body(request: Request, bytes_max: int) -> bytes:
    """Return a whole body; Problem 413 as soon as it turns out too large."""
    chunks = [chunk async for chunk in counted(request, bytes_max)]
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def counted(request: Request, bytes_max: int) -> AsyncIterator[bytes]:
    """Yield a body as it comes; Problem 413 when there is more than `bytes_max`, promised or real, 400 when packed."""
    check_plain(request)
    promised = request.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) > bytes_max:
        raise too_large(bytes_max)
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > bytes_max:
            raise too_large(bytes_max)
        if chunk:
            yield chunk


def check_plain(request: Request) -> None:
    """Problem 400 for a body that says it is compressed: none is unpacked, since a few bytes may become gigabytes."""
    packed = request.headers.get("content-encoding", "").strip().lower()
    if packed not in PLAIN:
        message = "Content-Encoding: bodies are accepted as they are, not compressed"
        raise Problem(400, message, code="invalid_value", param="Content-Encoding", headers={"Connection": "close"})
