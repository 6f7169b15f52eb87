"""Reads the body of an image request, JSON or multipart, into one shape: uploaded files become image references."""

from typing import Final

from aiohttp import BodyPartReader, web

from imagequeue.simulator.asked import INPUT_IMAGES_MAX, decode
from imagequeue.simulator.refusals import ApiError, RefusalError, bad_request

FIELD_BYTES_MAX: Final = 262_144
IMAGE_BYTES_MAX: Final = 52_428_800
PARTS_MAX: Final = 64

_SIGNATURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


async def fields_of(request: web.Request) -> dict[str, object]:
    """Return the request's fields; RefusalError when the body cannot be read."""
    if request.content_type == "multipart/form-data":
        return await _multipart(request)
    return decode(await request.read())


async def _multipart(request: web.Request) -> dict[str, object]:
    fields: dict[str, object] = {}
    images: list[dict[str, str]] = []
    reader = await request.multipart()
    for _ in range(PARTS_MAX):
        part = await reader.next()
        if part is None:
            return {**fields, "images": images} if images else fields
        if not isinstance(part, BodyPartReader):
            raise RefusalError(bad_request(None, "Nested multipart bodies are not accepted."))
        name = (part.name or "").removesuffix("[]")
        if name in ("image", "mask"):
            reference = {"file_id": await _upload(part, name)}
            if name == "image" and len(images) < INPUT_IMAGES_MAX:
                images.append(reference)
            else:
                fields[name] = reference
        else:
            fields[name] = _value(name, await _bounded(part, FIELD_BYTES_MAX))
    raise RefusalError(bad_request(None, f"At most {PARTS_MAX} form fields are accepted."))


def _value(name: str, data: bytes) -> object:
    text = data.decode("utf-8", "replace")
    return int(text) if name in ("n", "partial_images") and text.isdecimal() else text


async def _upload(part: BodyPartReader, name: str) -> str:
    data = await _bounded(part, IMAGE_BYTES_MAX)
    if not data.startswith(_SIGNATURES):
        text = f"Invalid image file or mode for '{name}': png, webp or jpg is needed."
        raise RefusalError(
            ApiError(
                status=400, code="invalid_image_file", type="image_generation_user_error", message=text, param=name
            )
        )
    return f"file-upload-{len(data)}"


async def _bounded(part: BodyPartReader, bytes_max: int) -> bytes:
    data = bytearray()
    while piece := await part.read_chunk():
        data += piece
        if len(data) > bytes_max:
            raise RefusalError(bad_request(part.name, f"'{part.name}': at most {bytes_max} bytes are accepted."))
    return bytes(data)
