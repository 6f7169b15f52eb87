"""A good answer sent as server-sent events, as the published description has them: sketches, then each image whole.

A sketch is the whole image again: what it looks like is of no use to anybody here.
"""

import json
from collections.abc import Iterator, Mapping
from typing import cast

from aiohttp import web
from pydantic_core import from_json

from imagequeue.simulator.asked import Asked

PREFIXES = {"generation": "image_generation", "edit": "image_edit", "variation": "image_variation"}


async def send(request: web.Request, asked: Asked, body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send the events of an answer whose plain body is given."""
    response = web.StreamResponse(headers={**headers, "Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for event in events(asked, from_json(body)):
        await response.write(event)
    await response.write_eof()
    return response


def events(asked: Asked, answer: Mapping[str, object]) -> Iterator[bytes]:
    """Yield the events as they go over the wire. `usage`, of the whole call, comes with the last one."""
    prefix = PREFIXES[asked.operation]
    images = cast("list[Mapping[str, object]]", answer["data"])
    about = {name: answer[name] for name in ("size", "quality", "background", "output_format") if name in answer}
    about["created_at"] = answer["created"]
    for image in images:
        for index in range(asked.partial_images):
            yield _event(f"{prefix}.partial_image", image, about | {"partial_image_index": index})
    for place, image in enumerate(images, 1):
        usage = {"usage": answer["usage"]} if place == len(images) and "usage" in answer else {}
        yield _event(f"{prefix}.completed", image, about | usage)


def _event(name: str, image: Mapping[str, object], about: Mapping[str, object]) -> bytes:
    data = json.dumps({"type": name, "b64_json": image["b64_json"], **about})
    return f"event: {name}\ndata: {data}\n\n".encode()
