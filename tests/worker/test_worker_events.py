"""An answer in events: however it is cut into pieces, the same sketches and the same body come of it."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.worker.events import body_of


def told(*events: Mapping[str, object], end: str = "\n") -> bytes:
    """Return the events as they go over the wire."""
    return "".join(f"event: {one.get('type')}{end}data: {json.dumps(one)}{end}{end}" for one in events).encode()


def read(data: bytes, cuts: tuple[int, ...] = ()) -> tuple[Mapping[str, Any] | None, list[bytes]]:
    """Return the body and the sketches of a stream that comes in pieces."""
    sketches: list[bytes] = []
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]

    async def pieces() -> AsyncIterator[bytes]:
        for start, end in itertools.pairwise(places):
            yield data[start:end]

    async def keep(event: bytes) -> None:
        sketches.append(event)

    return asyncio.run(body_of(pieces(), keep)), sketches


SKETCH = {"type": "image_edit.partial_image", "b64_json": "AA==", "partial_image_index": 0}
FIRST = {"type": "image_edit.completed", "b64_json": "AQ==", "created_at": 7, "size": "1024x1024"}
LAST = {**FIRST, "b64_json": "Ag==", "usage": {"total_tokens": 9}}


@given(st.lists(st.integers(0, 10_000), max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_pieces_make_no_difference(cuts: list[int], end: str) -> None:
    body, sketches = read(told(SKETCH, FIRST, SKETCH, LAST, end=end), tuple(cuts))
    assert [json.loads(one) for one in sketches] == [SKETCH, SKETCH]
    assert body == {
        "created": 7,
        "size": "1024x1024",
        "usage": {"total_tokens": 9},
        "data": [{"b64_json": "AQ=="}, {"b64_json": "Ag=="}],
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"data: {}\n\n",
        told(SKETCH),
        told(LAST)[:-1],
        b"data: no json\n\n",
        b"data: [1]\n\n: note\n\n",
        b"\n\n" * 9,
    ],
)
def test_a_stream_without_a_finished_image_has_no_body(data: bytes) -> None:
    assert read(data)[0] is None


def test_an_error_is_the_body_unless_an_image_was_finished() -> None:
    error = {"error": {"code": "moderation_blocked", "message": "no"}}
    assert read(told(SKETCH, error))[0] == error
    body = read(told(LAST, error))[0]
    assert body is not None
    assert len(body["data"]) == 1


def test_the_usage_that_counts_is_the_largest() -> None:
    body, _ = read(told({**FIRST, "usage": {"total_tokens": 0}}, LAST, {**FIRST, "usage": {"total_tokens": 1}}))
    assert body is not None
    assert body["usage"] == {"total_tokens": 9}
