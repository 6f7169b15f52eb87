"""A request in the image API's own words, and the job that it is. Pure.

The parameters are those of `POST /v1/images/generations` in the API's published description (openai-openapi,
2026-08-21). Null is the same as left out. What a job cannot say is refused by name, never ignored, but for who the
end user is: `user` and `safety_identifier` go into the job's metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from starlette.datastructures import Headers

from imagequeue.config.catalog import Catalog
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import PRIORITIES, CacheUse, Job, parse_job
from imagequeue.config.nearest import did_you_mean
from imagequeue.producer.door.queries import seconds_of

Shape = Literal["url", "b64_json"]

PRIORITY_HEADER: Final = "x-imagequeue-priority"
TENANT_HEADER: Final = "x-imagequeue-tenant"
PATIENCE_HEADER: Final = "x-imagequeue-patience"
TAG_PREFIX: Final = "x-imagequeue-tag-"
KEY_HEADER: Final = "idempotency-key"
CACHE_HEADER: Final = "x-imagequeue-cache"
PRIORITY: Final = "high"
"""Somebody waits for the answer."""

TAKEN: Final = ("prompt", "model", "n", "size", "quality", "style", "background", "output_format")
NOTED: Final = ("user", "safety_identifier")
ONLY: Final[Mapping[str, tuple[object, ...]]] = {
    "stream": (False,),
    "partial_images": (0,),
    "moderation": ("auto",),
    "output_compression": (100,),
}
"""Parameters that only have the value that changes nothing."""
KNOWN: Final = (*TAKEN, "response_format", *NOTED, *ONLY)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A job, and how its images are to be sent: None is as its model's API does."""

    job: Job
    shape: Shape | None


def read_request(body: object, headers: Headers, tenant: str | None) -> Wanted:
    """Return what is wanted; JobRefused names the parameter or header. `tenant` is of the key, when it has one."""
    if not isinstance(body, Mapping):
        raise JobRefused("body", "a JSON object is accepted")
    given: dict[str, Any] = {name: value for name, value in body.items() if value is not None}
    _check_names(given)
    noted = {name: given[name] for name in NOTED if name in given}
    fields: dict[str, Any] = {name: given[name] for name in TAKEN if name in given}
    if noted:
        fields["metadata"] = noted
    job = parse_job(fields | _from_headers(headers, tenant))
    return Wanted(job=job, shape=_shape(given.get("response_format")))


def shape_of(wanted: Wanted, catalog: Catalog, model: str) -> Shape:
    """Return how images are sent: as asked for, else as the model's API does it when it is not told."""
    if wanted.shape is not None:
        return wanted.shape
    accepts = catalog.model(model).accepts
    return "url" if accepts.response_format else "b64_json"


def read_patience(headers: Headers, default_seconds: float, seconds_max: float) -> float:
    """Return how long the client is ready to wait in line, in seconds."""
    given = headers.get(PATIENCE_HEADER)
    return default_seconds if given is None else seconds_of("X-ImageQueue-Patience", given, seconds_max)


def _check_names(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if name not in KNOWN:
            raise JobRefused(name[:64], f"unknown parameter{did_you_mean(name, KNOWN)}; accepted: {', '.join(KNOWN)}")
        if name in ONLY and not any(value == one and type(value) is type(one) for one in ONLY[name]):
            accepted = ", ".join(map(str, ONLY[name])).lower()
            raise JobRefused(name, f"not available here; accepted: {accepted}, or leave it out")


def _shape(value: object) -> Shape | None:
    if value is None or value in get_args(Shape):
        return value  # type: ignore[return-value]  # one of the literals, by the line above
    raise JobRefused("response_format", f"accepted: {', '.join(get_args(Shape))}")


def _from_headers(headers: Headers, tenant: str | None) -> dict[str, object]:
    priority = headers.get(PRIORITY_HEADER, PRIORITY)
    if priority not in PRIORITIES:
        raise JobRefused("X-ImageQueue-Priority", f"accepted: {', '.join(PRIORITIES)}")
    found: dict[str, object] = {"priority": priority}
    who = headers.get(TENANT_HEADER, tenant)
    if who is not None:
        found["tenant"] = who
    if CACHE_HEADER in headers:
        found["cache"] = _cache(headers[CACHE_HEADER])
    if KEY_HEADER in headers:
        found["idempotency_key"] = headers[KEY_HEADER]
    tags = {name.removeprefix(TAG_PREFIX): value for name, value in headers.items() if name.startswith(TAG_PREFIX)}
    return {**found, "tags": tags} if tags else found


def _cache(value: str) -> str:
    if value not in get_args(CacheUse):
        raise JobRefused("X-ImageQueue-Cache", f"accepted: {', '.join(get_args(CacheUse))}")
    return value
