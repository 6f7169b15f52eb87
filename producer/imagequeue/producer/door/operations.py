"""Parts of a description in OpenAPI: operations, parameters, bodies, answers. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from imagequeue.producer.door.schemas import Schema, ref

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
WHAT_ERRORS_MEAN: Final[Mapping[int, str]] = {
    400: "A field is wrong; `param` names it and the message says what is accepted.",
    401: "A key is needed, or this one opens nothing.",
    403: (
        "It belongs to another tenant, or the key lacks the scope. To a tenant's key also (`not_of_tenant`) an image "
        "that is not its own, and a job id that follows from another's idempotency key, whether there is one or not."
    ),
    404: "There is none.",
    408: "The job's deadline passed before it was started.",
    409: "The idempotency key came with another body, or the job is in no state for this.",
    413: "The body is too large.",
    416: "The image does not reach as far as `Range` asks for.",
    429: "Too many requests, or no budget, or too long a line; `Retry-After` says when.",
    500: "A fault, here or at the provider.",
    503: "A part behind the door cannot be reached; nothing was lost. `Retry-After` says when.",
    504: "The job still runs; ask for it by its id.",
}
PROTECTED: Final = (400, 401, 403, 429, 500, 503)
"""What every operation that needs a key may answer."""


def operation(
    name: str,
    summary: str,
    status: int,
    schema: Schema,
    *,
    media: str = JSON,
    body: Schema | None = None,
    parameters: list[Schema] | None = None,
    errors: tuple[int, ...] = (),
) -> dict[str, Any]:
    """Return an operation: what it takes, what it answers, and how it may refuse."""
    operation: dict[str, Any] = {"operationId": name, "summary": summary, "parameters": parameters or []}
    if body is not None:
        operation["requestBody"] = body
    operation["responses"] = {str(status): answer(summary, schema, media), **_errors((*PROTECTED, *errors))}
    return operation


def _errors(statuses: tuple[int, ...]) -> dict[str, Any]:
    return {str(status): answer(WHAT_ERRORS_MEAN[status], ref("Error")) for status in sorted(statuses)}


def answer(description: str, schema: Schema, media: str = JSON) -> Schema:
    """Return a response."""
    return {"description": description, "content": {media: {"schema": schema}}}


def body(schema: Schema, example: object) -> Schema:
    """Return a required body of JSON."""
    return {"required": True, "content": {JSON: {"schema": schema, "example": example}}}


def form(schema: Schema, as_json: Schema | None = None) -> Schema:
    """Return a required body that is a form, or JSON too."""
    content: Schema = {FORM: {"schema": schema}}
    if as_json is not None:
        content[JSON] = {"schema": as_json, "example": as_json["examples"][0]}
    return {"required": True, "content": content}


def in_path(name: str, pattern: str) -> Schema:
    """Return a parameter of the path."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}


def in_query(name: str, schema: Schema) -> Schema:
    """Return a parameter of the query."""
    return {"name": name, "in": "query", "schema": schema}


def header(name: str, description: str, schema: Schema) -> Schema:
    """Return a header."""
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}
