"""Every refusal of the door, in the image API's error object; and which of our errors becomes which. Pure.

`{"error": {"message", "type", "param", "code"}}`, as in the API's description; its official client raises its own
exception classes by the status. `x-should-retry: false` stops that client from sending again what cannot succeed.
"""

import math
from collections.abc import Mapping
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from imagequeue.config.errors import (
    ConfigError,
    IdempotencyConflict,
    ImageQueueError,
    JobRefused,
    LedgerUnavailable,
    NotFound,
    QueueUnavailable,
    StoreUnavailable,
    Unavailable,
)
from imagequeue.queue.acts import NotPossible
from imagequeue.queue.scripts import TROUBLE

INVALID: Final = "invalid_request_error"
SERVER: Final = "server_error"
NOT_OF_TENANT: Final = "not_of_tenant"
CLIENT_GONE: Final = 499
"""Never sent, since nobody is there; what the access log shows for a client that hung up (nginx's number)."""
UNAVAILABLE_RETRY_SECONDS: Final = 5
NO_RETRY: Final = {"x-should-retry": "false"}


class Problem(ImageQueueError):
    """A request that is not served. The message goes to the client: one line, nothing of the inside."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None,
        kind: str = INVALID,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.kind = kind
        self.param = param
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self, request_id: str | None = None) -> JSONResponse:
        """Return it as it is sent; `more` and the request's id stand beside the four fields that every error has."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code, **self.more}
        if request_id is not None:
            error["request_id"] = request_id
        return JSONResponse({"error": error}, self.status, self.headers)


def refused(field: str, message: str) -> Problem:
    """400: a field is wrong; the message says what is accepted."""
    return Problem(400, f"{field}: {message}", code="invalid_value", param=field)


def unauthorized(message: str) -> Problem:
    """401: no key, or none that opens the door."""
    headers = {"WWW-Authenticate": 'Bearer realm="imagequeue"'}
    return Problem(401, message, code="invalid_api_key", headers=headers)


def forbidden(message: str) -> Problem:
    """403: the key is good, but not for this."""
    return Problem(403, message, code="forbidden")


def not_of_tenant(message: str) -> Problem:
    """403: it is not of the tenant that the key is bound to.

    Of what can be named without being told its name (a job by its idempotency key, an image by its bytes) it is not
    told whether there is any.
    """
    return Problem(403, message, code=NOT_OF_TENANT)


def too_large(bytes_max: int) -> Problem:
    """413: more bytes than are accepted here."""
    return Problem(
        413, f"body: at most {bytes_max} bytes are accepted", code="too_large", headers={"Connection": "close"}
    )


def too_many(
    message: str, retry_seconds: float, *, code: str = "rate_limit_exceeded", kind: str = "requests"
) -> Problem:
    """429: not now; in `retry_seconds` it may be."""
    return Problem(429, message, code=code, kind=kind, headers={"Retry-After": str(max(1, math.ceil(retry_seconds)))})


def unavailable(message: str) -> Problem:
    """503: a part behind the door does not answer; nothing was lost."""
    headers = {"Retry-After": str(UNAVAILABLE_RETRY_SECONDS)}
    return Problem(503, message, code="unavailable", kind=SERVER, headers=headers)


def unexpected() -> Problem:
    """500: a fault of ours; the log has it under the request's id."""
    return Problem(500, "an unexpected fault; the log has it under this request's id", code="unexpected", kind=SERVER)


def problem_of(error: Exception) -> Problem | None:
    """Return how an error is told to a client; None for one that nobody foresaw."""
    match error:
        case Problem():
            return error
        case JobRefused():
            return refused(error.field, error.message)
        case IdempotencyConflict():
            code = "idempotency_conflict"
            return Problem(409, str(error), code=code, param="idempotency_key", headers=NO_RETRY)
        case NotPossible():
            return Problem(409, str(error), code="not_possible", headers=NO_RETRY)
        case NotFound():
            return Problem(404, str(error), code="not_found")
        case Unavailable() | ConfigError():
            return unavailable(_what_is_away(error))
        case ClientDisconnect():
            return Problem(CLIENT_GONE, "the client hung up", code=None)
        case _ if isinstance(error, TROUBLE):
            return unavailable(_what_is_away(QueueUnavailable()))
    return None


def _what_is_away(error: Exception) -> str:
    """Say which part without its address or its own words, which are for the log."""
    match error:
        case QueueUnavailable():
            return "the queue cannot accept or show jobs now; nothing was lost, try again"
        case LedgerUnavailable():
            return "the ledger cannot be reached now; nothing was lost, try again"
        case StoreUnavailable():
            return "the image store cannot be reached now; nothing was lost, try again"
    return "the door cannot be used as it is configured; its log says why"
