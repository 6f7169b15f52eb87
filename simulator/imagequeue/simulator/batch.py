"""One batch of the provider: what it is told, how far it is, and what its lines came to. Values and their JSON."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from imagequeue.simulator.asked import Asked

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
ENDED: Final = frozenset({"failed", "completed", "expired", "cancelled"})
WINDOW_SECONDS: Final = 86_400
ENDPOINTS: Final[Mapping[str, Literal["generation", "edit"]]] = {
    "/v1/images/generations": "generation",
    "/v1/images/edits": "edit",
}
LINES_MAX: Final = 50_000
INPUT_BYTES_MAX: Final = 209_715_200


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One request of the input file."""

    custom_id: str
    body: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A line whose images were made and billed."""

    custom_id: str
    request_id: str
    asked: Asked
    created: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A line without images: answered with an error, or never reached (`status` 0)."""

    custom_id: str
    request_id: str
    status: int
    error: Mapping[str, object]

    def as_line(self) -> bytes:
        """Return its line in the error file."""
        response = (
            {"status_code": self.status, "request_id": self.request_id, "body": {"error": self.error}}
            if self.status
            else None
        )
        error = None if self.status else self.error
        line = {"id": f"batch_{self.request_id}", "custom_id": self.custom_id, "response": response, "error": error}
        return json.dumps(line).encode() + b"\n"


@dataclass(kw_only=True, slots=True)
class Batch:
    """A batch as it goes on. Times are Unix seconds by status."""

    id: str
    org: str
    endpoint: str
    input_file_id: str
    metadata: Mapping[str, str]
    status: Status
    at: dict[str, int] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    made: list[Made] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    errors: list[Mapping[str, object]] = field(default_factory=list)
    output_file_id: str | None = None
    error_file_id: str | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def as_json(self) -> dict[str, object]:
        """Return the provider's batch object."""
        created = self.at["created"]
        times = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": created,
            "expires_at": created + WINDOW_SECONDS,
            **{f"{name}_at": self.at.get(name) for name in times},
            "request_counts": {
                "total": len(self.lines),
                "completed": len(self.made),
                "failed": len(self.refused),
            },
            "metadata": dict(self.metadata) or None,
        }


def read_lines(content: bytes, endpoint: str) -> Iterator[Line | str]:
    """Yield the lines of an input file; a text in place of a line says what is wrong with it."""
    seen: set[str] = set()
    for number, text in enumerate(content.splitlines(), 1):
        line = _line(text, endpoint, number)
        if isinstance(line, Line):
            if line.custom_id in seen:
                line = f"line {number}: the custom_id {line.custom_id} is there twice"
            else:
                seen.add(line.custom_id)
        yield line


def _line(text: bytes, endpoint: str, number: int) -> Line | str:
    try:
        value = json.loads(text)
    except ValueError:
        return f"line {number}: no JSON"
    if not isinstance(value, dict) or not isinstance(value.get("custom_id"), str):
        return f"line {number}: an object with custom_id is needed"
    if (value.get("method"), value.get("url")) != ("POST", endpoint) or not isinstance(value.get("body"), dict):
        return f"line {number}: method POST, url {endpoint} and a body are needed"
    return Line(custom_id=value["custom_id"], body=value["body"])
