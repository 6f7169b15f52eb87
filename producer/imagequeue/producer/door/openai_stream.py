"""A succeeded job's answer as the image API's events: each image whole, in an event of its own. Pure.

The names and fields are those of `ImageGenCompletedEvent` and `ImageEditCompletedEvent` in the API's published
description (openai-openapi, 2026-08-21). The usage is the call's, so it comes once, with the last image; before that
it is all zeros, since the field is required.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from imagequeue.config.job import Operation
from imagequeue.producer.door.problems import Problem

PREFIXES: Final[Mapping[Operation, str]] = {"generation": "image_generation", "edit": "image_edit"}
ABOUT: Final = {"size": "auto", "quality": "auto", "background": "auto", "output_format": "png"}
"""The fields that every event has, and what stands there when it is not known."""
NO_USAGE: Final = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
MEDIA_TYPE: Final = "text/event-stream"


def completed_events(
    answer: Mapping[str, object], images: Sequence[Mapping[str, object]], operation: Operation
) -> Iterator[bytes]:
    """Yield the events of an answer's images as they go over the wire."""
    about = {name: answer.get(name, unknown) for name, unknown in ABOUT.items()}
    for place, image in enumerate(images, 1):
        usage = answer.get("usage", NO_USAGE) if place == len(images) else NO_USAGE
        event = {
            "type": f"{PREFIXES[operation]}.completed",
            "b64_json": image["b64_json"],
            "created_at": answer["created"],
            **about,
            "usage": usage,
        }
        yield event_bytes(event)


def sketch_event(text: bytes, operation: Operation) -> bytes:
    """Return a sketch's event, whose JSON text a worker passed on, as it goes over the wire."""
    return b"event: %s.partial_image\ndata: %s\n\n" % (PREFIXES[operation].encode(), text)


def error_event(problem: Problem) -> bytes:
    """Return what went wrong after the first event, as the official client reads it."""
    error = {"message": str(problem), "type": problem.kind, "param": problem.param, "code": problem.code}
    return f"event: error\ndata: {json.dumps({'error': error})}\n\n".encode()


def event_bytes(event: Mapping[str, object]) -> bytes:
    """Return one event as server-sent events have it, named by its type."""
    return f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
