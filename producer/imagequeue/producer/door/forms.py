"""Reading multipart forms: counted as they come, files to disk, so that no body stands in memory as a whole."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import INPUT_IMAGES_MAX
from imagequeue.producer.door.bodies import counted
from imagequeue.producer.door.problems import Problem, too_large, unavailable
from imagequeue.producer.inputs import INPUT_BYTES_MAX
from imagequeue.producer.inputs import too_large as image_too_large

FORM_BYTES_MAX: Final = 209_715_200
FILES_MAX: Final = INPUT_IMAGES_MAX + 1
FIELDS_MAX: Final = 40
FIELD_BYTES_MAX: Final = 262_144
MEDIA_TYPE: Final = "multipart/form-data"


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form's fields, each once, and its files by field in order; `[]` after a name is left out."""

    fields: Mapping[str, str]
    files: Mapping[str, Sequence[UploadFile]]


class _Parser(MultiPartParser):
    """starlette's, but a file that no model takes ends it at once, and headers of parts are bounded."""

    header_bytes_max = 8_192
    part_bytes = 0

    def on_part_begin(self) -> None:
        """Begin a part."""
        super().on_part_begin()
        self.part_bytes = 0

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Take some bytes of a part."""
        super().on_part_data(data, start, end)
        self.part_bytes += end - start
        if self.part_bytes > INPUT_BYTES_MAX:
            raise image_too_large(self._current_part.field_name.removesuffix("[]"))

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """Take some bytes of a part's header."""
        super().on_header_value(data, start, end)
        if len(self._current_partial_header_value) > self.header_bytes_max:
            raise MultiPartException(f"A part's header has more than {self.header_bytes_max} bytes.")


def is_form(request: Request) -> bool:
    """Return whether a request says that its body is a multipart form."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


@asynccontextmanager
async def read_form(request: Request) -> AsyncIterator[Form]:
    """Give a request's form for the length of a block, then remove its files; Problem 400 or 413 otherwise."""
    promised = request.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) > FORM_BYTES_MAX:
        raise too_large(FORM_BYTES_MAX)
    parser = _Parser(
        request.headers,
        _stream(request),
        max_files=FILES_MAX,
        max_fields=FIELDS_MAX,
        max_part_size=FIELD_BYTES_MAX,
    )
    try:
        parsed = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, f"body: {error.message}", code="invalid_form", param="body") from error
    except OSError as error:
        raise unavailable("the door has no room for uploads now; nothing was lost, try again") from error
    try:
        yield _form(parsed.multi_items())
    finally:
        await parsed.close()


async def _stream(request: Request) -> AsyncGenerator[bytes, None]:
    async for chunk in counted(request, FORM_BYTES_MAX):
        yield chunk


def _form(items: Sequence[tuple[str, UploadFile | str]]) -> Form:
    fields: dict[str, str] = {}
    files: dict[str, list[UploadFile]] = {}
    for given, value in items:
        name = given.removesuffix("[]")
        if isinstance(value, UploadFile):
            files.setdefault(name, []).append(value)
        elif name in fields:
            raise JobRefused(name[:64], "it is given twice; once is accepted")
        else:
            fields[name] = value
    return Form(fields=fields, files=files)
