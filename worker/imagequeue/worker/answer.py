"""What a call of the image API came to, as plain values: an answer, or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer that arrived whole. `headers` have lower-case names; `error_*` and `data` are parsed from the body."""

    status: int
    headers: Mapping[str, str]
    body: object
    """The decoded JSON value, or None when the body is not JSON."""
    text: str
    """The beginning of the body, for error messages."""
    sent_at: datetime
    ended_at: datetime

    @property
    def request_id(self) -> str | None:
        """The provider's name for the request."""
        return self.headers.get("x-request-id")


@dataclass(frozen=True, kw_only=True, slots=True)
class NoAnswer:
    """A call that brought no whole answer. `sent` False: it is certain that the provider never had it."""

    sent: bool
    code: str
    message: str
    sent_at: datetime
    ended_at: datetime


Result = Answer | NoAnswer
