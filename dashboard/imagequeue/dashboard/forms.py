"""Reads a form: `application/x-www-form-urlencoded`, small, and with as many fields as a page can send."""

from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from imagequeue.config.errors import ImageQueueError

BYTES_MAX: Final = 65_536
FIELDS_MAX: Final = 400
MEDIA_TYPE: Final = "application/x-www-form-urlencoded"


class FormRefused(ImageQueueError):
    """A form that no page of ours sends; the text says why."""


class Form:
    """The fields of a form, in order; a name may come more than once."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def one(self, name: str) -> str:
        """Return the first field of a name, empty when there is none."""
        return next((value for key, value in self._fields if key == name), "")

    def many(self, name: str) -> list[str]:
        """Return all fields of a name, each value once."""
        return list(dict.fromkeys(value for key, value in self._fields if key == name))


async def read_form(request: Request) -> Form:
    """Return the form of a request; FormRefused when it is too large or is none."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise FormRefused(f"a form is sent as {MEDIA_TYPE}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BYTES_MAX:
            raise FormRefused(f"a form has at most {BYTES_MAX:,} bytes")
    try:
        text = body.decode("ascii")
        return Form(parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"))
    except ValueError as error:
        raise FormRefused(f"a form has at most {FIELDS_MAX} fields of UTF-8 text") from error
