"""An answer that comes as server-sent events: sketches are handed on as they come, the finished images become one body.

The events are those of the published description: `image_generation.partial_image`, `.completed`, and `image_edit.*`.
The rest of the worker sees the same answer as without a stream.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from pydantic_core import from_json

MEDIA_TYPE = "text/event-stream"
SKETCH = ".partial_image"
FINISHED = ".completed"
ABOUT = ("size", "quality", "background", "output_format")

OnSketch = Callable[[bytes], Awaitable[None]]
"""Takes a sketch's event, the JSON text as it came."""


async def body_of(chunks: AsyncIterator[bytes], on_sketch: OnSketch) -> Mapping[str, Any] | None:
    """Return what a plain answer's body would have been; None when no image was finished."""
    images: list[dict[str, object]] = []
    body: dict[str, Any] = {}
    async for text in _events(chunks):
        event = _decoded(text)
        kind = str(event.get("type", ""))
        if kind.endswith(SKETCH):
            await on_sketch(text)
        elif kind.endswith(FINISHED) and isinstance(event.get("b64_json"), str):
            images.append({"b64_json": event["b64_json"]})
            body |= {name: event[name] for name in ABOUT if name in event}
            body["created"] = event.get("created_at", 0)
            body["usage"] = _larger(body.get("usage"), event.get("usage"))
        elif isinstance(event.get("error"), Mapping) and not images:
            return {"error": event["error"]}
    return {**body, "data": images} if images else None


def _larger(one: object, other: object) -> object:
    """The usage is the call's: some servers say it with every image, some with the last."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return other if isinstance(other, Mapping) else one
    return max(one, other, key=lambda usage: _whole(usage.get("total_tokens")))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of each whole event; a last one that is cut short is left out."""
    rest = bytearray()
    async for chunk in chunks:
        looked = max(0, len(rest) - 3)
        rest += chunk
        while (end := _end(rest, looked)) is not None:
            yield _data(bytes(rest[: end[0]]))
            del rest[: end[1]]
            looked = 0


def _end(text: bytearray, start: int) -> tuple[int, int] | None:
    """Where the first event ends and the next begins."""
    found = [(place, place + len(mark)) for mark in (b"\n\n", b"\r\n\r\n") if (place := text.find(mark, start)) >= 0]
    return min(found, default=None)


def _data(event: bytes) -> bytes:
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)


def _decoded(text: bytes) -> Mapping[str, Any]:
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError:
        return {}
    return value if isinstance(value, Mapping) else {}
