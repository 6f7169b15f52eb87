"""Input images that the lines of a job file name: taken in while the file is checked, in a thread beside the loop."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic_core import from_json

from imagequeue.config.job import Job

if TYPE_CHECKING:  # see open_queue
    from imagequeue.producer.inputs import Inputs

MARKS: Final = (b'"images"', b'"mask"')
TENANT: Final = "default"

Answer = TypeVar("Answer")


class FileInputs:
    """Takes the images of lines in, on an event loop that another thread runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, opened: "Callable[[], Awaitable[Inputs]]") -> None:
        self._loop = loop
        self._opened = opened

    def prepare(self, text: bytes) -> bytes:
        """Return a line with references where files or data URLs stood; JobRefused names the field."""
        if not any(mark in text for mark in MARKS):
            return text
        try:
            value = from_json(text, allow_inf_nan=False)
        except ValueError:
            return text  # the line's own check says what is wrong
        if not isinstance(value, dict):
            return text
        return json.dumps(self._run(self._taken_in(value)), ensure_ascii=False).encode()

    def approve(self, job: Job) -> None:
        """JobRefused when an image that a checked job names is not its tenant's, or not what its model takes."""
        if job.images:
            self._run(self._check(job))

    async def _taken_in(self, value: Mapping[str, object]) -> Mapping[str, object]:
        inputs = await self._opened()
        return await inputs.taken_in(value, str(value.get("tenant") or TENANT), files=True)

    async def _check(self, job: Job) -> None:
        await (await self._opened()).check(job)

    def _run(self, work: Awaitable[Answer]) -> Answer:
        async def awaited() -> Answer:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()
