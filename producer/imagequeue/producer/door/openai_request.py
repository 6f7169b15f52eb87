"""A request in the image API's own words, and the job that it is. Pure.

The parameters are those of `POST /v1/images/generations` in the API's published description (openai-openapi,
2026-08-21). Null is the same as left out. What a job cannot say is refused by name, never ignored, but for who the
end user is: `user` and `safety_identifier` go into the job's metadata.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from starlette.datastructures import Headers

from imagequeue.config.catalog import Catalog
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import PARTIAL_IMAGES_MAX, PRIORITIES, CacheUse, Job, Operation, parse_job
from imagequeue.config.nearest import did_you_mean
from imagequeue.producer.door.queries import header_text, seconds_of

Shape = Literal["url", "b64_json"]

PRIORITY_HEADER: Final = "x-imagequeue-priority"
TENANT_HEADER: Final = "x-imagequeue-tenant"
PATIENCE_HEADER: Final = "x-imagequeue-patience"
TAG_PREFIX: Final = "x-imagequeue-tag-"
KEY_HEADER: Final = "idempotency-key"
CACHE_HEADER: Final = "x-imagequeue-cache"
PRIORITY: Final = "high"
"""Somebody waits for the answer."""

TAKEN_BY: Final[Mapping[Operation, tuple[str, ...]]] = {
    "generation": ("prompt", "model", "n", "size", "quality", "style", "background", "output_format"),
    "edit": ("prompt", "model", "n", "size", "quality", "background", "output_format", "images", "mask"),
    "variation": ("model", "n", "size", "images"),
}
NOTED: Final = ("user", "safety_identifier")
NOTED_CHARACTERS_MAX: Final = 512
ONLY: Final[Mapping[str, tuple[object, ...]]] = {
    "input_fidelity": ("low",),
    "moderation": ("auto",),
    "output_compression": (100,),
}
"""Parameters that only have the value that changes nothing."""
STREAMED: Final = ("stream", "partial_images")
OTHERS: Final = ("response_format", *STREAMED, *NOTED, *ONLY)
KNOWN: Final = (*TAKEN_BY["generation"], *(name for name in OTHERS if name != "input_fidelity"))
KNOWN_BY: Final[Mapping[Operation, tuple[str, ...]]] = {
    "generation": KNOWN,
    "edit": (*TAKEN_BY["edit"], *OTHERS),
    "variation": (*TAKEN_BY["variation"], "response_format", *NOTED),
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A job, and how its images are to be sent: None is as its model's API does."""

    job: Job
    shape: Shape | None
    stream: bool = False


def read_request(body: object, headers: Headers, tenant: str | None, operation: Operation = "generation") -> Wanted:
    """Return what is wanted; JobRefused names the parameter or header. `tenant` is of the key, when it has one."""
    if not isinstance(body, Mapping):
        raise JobRefused("body", "a JSON object is accepted")
    given: dict[str, Any] = {name: value for name, value in body.items() if value is not None}
    _check_names(given, KNOWN_BY[operation])
    noted = _noted(given)
    fields: dict[str, Any] = {name: given[name] for name in TAKEN_BY[operation] if name in given}
    fields["operation"] = operation
    stream = _stream(given)
    if stream and given.get("partial_images"):
        fields["partial_images"] = given["partial_images"]
    if noted:
        fields["metadata"] = noted
    job = parse_job(fields | _from_headers(headers, tenant))
    return Wanted(job=job, shape=_shape(given.get("response_format"), stream=stream), stream=stream)


def shape_of(wanted: Wanted, catalog: Catalog, model: str) -> Shape:
    """Return how images are sent: as asked for, else as the model's API does it when it is not told."""
    if wanted.shape is not None:
        return wanted.shape
    accepts = catalog.model(model).accepts
    return "url" if accepts.response_format else "b64_json"


def tenant_of(headers: Headers, tenant: str | None) -> str | None:
    """Return whose a request is: as its header says, else of the key's tenant, when it has one."""
    return headers.get(TENANT_HEADER, tenant)


def read_patience(headers: Headers, default_seconds: float, seconds_max: float) -> float:
    """Return how long the client is ready to wait in line, in seconds."""
    given = headers.get(PATIENCE_HEADER)
    return default_seconds if given is None else seconds_of("X-ImageQueue-Patience", given, seconds_max)


def _stream(given: Mapping[str, object]) -> bool:
    """Whether the answer is sent as events. Sketches come only with them, and are never more than may come."""
    stream, sketches = given.get("stream", False), given.get("partial_images", 0)
    if not isinstance(stream, bool):
        raise JobRefused("stream", "accepted: true, false")
    if type(sketches) is not int or not 0 <= sketches <= PARTIAL_IMAGES_MAX:
        raise JobRefused("partial_images", f"accepted: 0 to {PARTIAL_IMAGES_MAX}")
    if sketches and not stream:
        raise JobRefused("partial_images", "accepted with stream true only")
    return stream


def _check_names(given: Mapping[str, object], known: Sequence[str]) -> None:
    for name, value in given.items():
        if name not in known:
            raise JobRefused(name[:64], f"unknown parameter{did_you_mean(name, known)}; accepted: {', '.join(known)}")
        if name in ONLY and not any(value == one and type(value) is type(one) for one in ONLY[name]):
            accepted = ", ".join(map(str, ONLY[name])).lower()
            raise JobRefused(name, f"not available here; accepted: {accepted}, or leave it out")


def _noted(given: Mapping[str, object]) -> dict[str, object]:
    """Who the end user is, for the job's metadata."""
    noted = {name: given[name] for name in NOTED if name in given}
    for name, value in noted.items():
        if not isinstance(value, str) or len(value) > NOTED_CHARACTERS_MAX:
            raise JobRefused(name, f"text of at most {NOTED_CHARACTERS_MAX} characters is accepted")
    return noted


def _shape(value: object, *, stream: bool) -> Shape | None:
    if stream and value == "url":
        raise JobRefused("response_format", "accepted with stream true: b64_json, since events have no links")
    if value is None or value in get_args(Shape):
        return value  # type: ignore[return-value]  # one of the literals, by the line above
    raise JobRefused("response_format", f"accepted: {', '.join(get_args(Shape))}")


def _from_headers(headers: Headers, tenant: str | None) -> dict[str, object]:
    priority = headers.get(PRIORITY_HEADER, PRIORITY)
    if priority not in PRIORITIES:
        raise JobRefused("X-ImageQueue-Priority", f"accepted: {', '.join(PRIORITIES)}")
    found: dict[str, object] = {"priority": priority}
    who = tenant_of(headers, tenant)
    if who is not None:
        found["tenant"] = who
    if CACHE_HEADER in headers:
        found["cache"] = _cache(headers[CACHE_HEADER])
    if KEY_HEADER in headers:
        found["idempotency_key"] = header_text(headers[KEY_HEADER])
    tags = {
        name.removeprefix(TAG_PREFIX): header_text(value)
        for name, value in headers.items()
        if name.startswith(TAG_PREFIX)
    }
    return {**found, "tags": tags} if tags else found


def _cache(value: str) -> str:
    if value not in get_args(CacheUse):
        raise JobRefused("X-ImageQueue-Cache", f"accepted: {', '.join(get_args(CacheUse))}")
    return value
