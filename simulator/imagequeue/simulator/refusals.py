"""The provider's error answers: status, body and headers of each. Shapes as published or as recorded by users.

The texts follow recordings of the real API, e.g. `Rate limit reached for gpt-image-2 (for limit gpt-image) in
organization org-... on input-images per min: Limit 5, Used 5, Requested 1. Please try again in 12s.`
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from imagequeue.simulator.bucket import Refused
from imagequeue.simulator.faults import Fault

QUOTA_TEXT = "You exceeded your current quota, please check your plan and billing details."
BUSY_TEXT = "The server had an error while processing your request. Sorry about that!"
POLICY_TEXT = "Your request was rejected by the safety system."


@dataclass(frozen=True, kw_only=True)
class ApiError:
    """One error answer. `page` is an HTML body in place of the error object, as proxies send it."""

    status: int
    code: str | None
    type: str
    message: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)
    page: str | None = None

    def body(self) -> bytes:
        """Return the answer's body."""
        if self.page is not None:
            return self.page.encode()
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code, **self.details}
        return json.dumps({"error": error}, indent=2).encode()

    def response(self, headers: Mapping[str, str]) -> web.Response:
        """Return the answer with these headers and its own."""
        content_type = "application/json" if self.page is None else "text/html; charset=utf-8"
        return web.Response(
            status=self.status, body=self.body(), headers={**headers, **self.headers, "Content-Type": content_type}
        )


class RefusalError(Exception):
    """Ends a request with an error answer."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


def bad_request(param: str | None, message: str, code: str | None = None) -> ApiError:
    """Return 400 for a parameter that the endpoint or the model does not accept."""
    return ApiError(status=400, code=code, type="invalid_request_error", message=message, param=param)


def invalid_key(shown: str) -> ApiError:
    """Return 401; the key is shown as the provider does, all but its ends hidden."""
    hidden = f"{shown[:3]}{'*' * 8}{shown[-4:]}" if len(shown) > 12 else "*" * len(shown)
    text = f"Incorrect API key provided: {hidden}."
    return ApiError(status=401, code="invalid_api_key", type="invalid_request_error", message=text)


def model_not_found(model: str) -> ApiError:
    """Return 404, as for a model that never was or was shut down."""
    text = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(status=404, code="model_not_found", type="invalid_request_error", message=text, param="model")


def no_such_path(method: str, path: str) -> ApiError:
    """Return 404 for an unknown address."""
    text = f"Invalid URL ({method} {path})"
    return ApiError(status=404, code=None, type="invalid_request_error", message=text)


def wait_text(seconds: float) -> str:
    """Return a wait as the provider words it: `240ms` under a second, else seconds, e.g. `12s` or `51.84s`."""
    milliseconds = max(1, math.ceil(seconds * 1000 - 1e-6))
    return f"{milliseconds}ms" if milliseconds < 1000 else f"{milliseconds / 1000:.10g}s"


def rate_limited(refused: Refused, *, model: str, group: str, org_id: str) -> ApiError:
    """Return 429 `rate_limit_exceeded` with the recorded text and a `retry-after` of whole seconds."""
    metric = "input-images" if refused.dimension == "images" else "tokens"
    limit_name = "" if group == model else f" (for limit {group})"
    message = (
        f"Rate limit reached for {model}{limit_name} in organization {org_id} on {metric} per min: "
        f"Limit {refused.limit_per_minute:.10g}, Used {math.ceil(refused.used - 1e-9)}, Requested {refused.requested}. "
        f"Please try again in {wait_text(refused.wait_seconds)}. "
        "Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    headers = {"retry-after": str(max(1, math.ceil(refused.wait_seconds)))}
    return ApiError(status=429, code="rate_limit_exceeded", type=metric, message=message, headers=headers)


def of_fault(fault: Fault, *, model: str, org_id: str) -> ApiError:
    """Return the error answer that a fault stands for; KeyError when its kind is not an answer."""
    error = _FAULT_ERRORS[fault.kind](model, org_id)
    headers = dict(error.headers)
    if fault.retry_after_seconds is not None:
        headers["retry-after"] = str(fault.retry_after_seconds)
    return ApiError(
        status=error.status,
        code=fault.code or error.code,
        type=error.type,
        message=error.message,
        param=error.param,
        headers=headers,
        details=error.details,
        page=error.page,
    )


def is_answer(fault: Fault) -> bool:
    """Whether the fault is an error answer rather than something done to the connection or a good answer."""
    return fault.kind in _FAULT_ERRORS


def _storm(model: str, org_id: str) -> ApiError:
    text = f"Rate limit reached for {model} in organization {org_id} on input-images per min. Please try again later."
    return ApiError(status=429, code="rate_limit_exceeded", type="input-images", message=text)


def _slow_down(_model: str, _org_id: str) -> ApiError:
    text = "Traffic rose too fast. Return to your earlier rate and raise it slowly."
    return ApiError(status=429, code="slow_down", type="requests", message=text)


def _quota(_model: str, _org_id: str) -> ApiError:
    return ApiError(status=429, code="insufficient_quota", type="insufficient_quota", message=QUOTA_TEXT)


def _billing_hard_limit(_model: str, _org_id: str) -> ApiError:
    return bad_request(None, "Billing hard limit has been reached", "billing_hard_limit_reached")


def _unverified(model: str, _org_id: str) -> ApiError:
    text = f"Your organization must be verified to use the model `{model}`."
    return ApiError(status=403, code=None, type="invalid_request_error", message=text)


def _policy(model: str, _org_id: str) -> ApiError:
    if model.startswith("dall-e"):
        return bad_request(None, POLICY_TEXT, "content_policy_violation")
    details = {"moderation_details": {"moderation_stage": "input", "categories": ["violence"]}}
    return ApiError(
        status=400,
        code="moderation_blocked",
        type="image_generation_user_error",
        message=POLICY_TEXT,
        details=details,
    )


def _conflict(_model: str, _org_id: str) -> ApiError:
    return ApiError(
        status=409, code=None, type="invalid_request_error", message="The resource was changed by another request."
    )


def _server_error(_model: str, _org_id: str) -> ApiError:
    return ApiError(status=500, code=None, type="server_error", message=BUSY_TEXT)


def _overloaded(_model: str, _org_id: str) -> ApiError:
    text = "The server is overloaded. Please try again later."
    return ApiError(status=503, code="server_is_overloaded", type="server_error", message=text)


def _error_in_200(model: str, org_id: str) -> ApiError:
    return ApiError(status=200, code="rate_limit_exceeded", type="input-images", message=_storm(model, org_id).message)


def _page(status: int, title: str) -> ApiError:
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"
    return ApiError(status=status, code=None, type="proxy", message=title, page=page)


_FAULT_ERRORS = {
    "rate_limit": _storm,
    "slow_down": _slow_down,
    "insufficient_quota": _quota,
    "billing_hard_limit": _billing_hard_limit,
    "invalid_key": lambda _model, _org_id: invalid_key("sk-refused-by-fault"),
    "unverified": _unverified,
    "model_not_found": lambda model, _org_id: model_not_found(model),
    "policy": _policy,
    "conflict": _conflict,
    "server_error": _server_error,
    "billed_server_error": _server_error,
    "bad_gateway": lambda _model, _org_id: _page(502, "Bad Gateway"),
    "overloaded": _overloaded,
    "gateway_timeout": lambda _model, _org_id: _page(504, "Gateway Time-out"),
    "billed_gateway_timeout": lambda _model, _org_id: _page(504, "Gateway Time-out"),
    "error_in_200": _error_in_200,
}
