"""Rows as they come from the database, turned into the values of `api`. Pure."""

import hashlib
import json.encoder
from collections.abc import Mapping
from typing import Final, TypedDict, cast

from imagequeue.ledger.api import (
    AttemptRow,
    AttemptState,
    ImageRecord,
    JobCost,
    JobError,
    JobFacts,
    Outcome,
    OutcomeStatus,
)
from imagequeue.ledger.moments import moment, moment_or_none

CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
NO_TAGS: Final = "{}"
TAGS_KEY_CHARACTERS: Final = 32
_quoted: Final = json.encoder.encode_basestring_ascii


class AttemptColumns(TypedDict):
    """A row of `ledger_attempt`."""

    id: int
    job_id: str
    n: int
    lease_token: str
    org: str
    model: str
    tenant: str
    priority: str
    tags: str
    intent: str | None
    delivery: str
    operation: str
    size: str | None
    quality: str | None
    images_requested: int
    upper_bound_nano: int
    credits: int
    catalog_version: str
    state: AttemptState
    usd_nano: int | None
    images: int
    usage: str | None
    request_id: str | None
    client_request_id: str | None
    status_code: int | None
    error_code: str | None
    error_message: str | None
    reason: str | None
    day: str
    held_at_us: int
    sent_at_us: int | None
    ended_at_us: int | None
    resolved_at_us: int | None


class OutcomeColumns(TypedDict):
    """A row of `ledger_outcome`."""

    job_id: str
    status: OutcomeStatus
    attempt_id: int | None
    org: str
    model: str
    tenant: str
    priority: str
    tags: str
    intent: str | None
    delivery: str
    catalog_version: str
    day: str
    usd_nano: int | None
    images: str
    cached: bool
    saved_nano: int
    error_code: str | None
    error_message: str | None
    retryable: bool
    kept: str | None
    kept_images: int
    finished_at_us: int
    reopened_at_us: int | None


def canonical_json(value: Mapping[str, object]) -> str:
    """Return the one JSON text of a mapping: keys in order, no spaces."""
    return CANONICAL.encode(dict(value)) if value else "{}"


def tags_key(tags: str) -> str:
    """Return the short name of a set of tags, given as `canonical_json`."""
    return hashlib.sha256(tags.encode()).hexdigest()[:TAGS_KEY_CHARACTERS]


def images_json(images: tuple[ImageRecord, ...]) -> str:
    """Return image records as JSON text."""
    return f"[{','.join(map(_image_json, images))}]"


def _image_json(image: ImageRecord) -> str:
    """Return what a JSON encoder makes of one record, at a quarter of its time: there is one in every answer."""
    prompt = "null" if image.revised_prompt is None else _quoted(image.revised_prompt)
    return (
        f'{{"sha256":{_quoted(image.sha256)},"bytes":{image.bytes},"width":{image.width},"height":{image.height},'
        f'"format":{_quoted(image.format)},"revised_prompt":{prompt}}}'
    )


def images_of(text: str) -> tuple[ImageRecord, ...]:
    """Return the image records in `images_json`'s text."""
    return tuple(ImageRecord(**record) for record in json.loads(text))


def attempt_of(row: AttemptColumns) -> AttemptRow:
    """Return the attempt of a row."""
    usd_nano = row["usd_nano"]
    return AttemptRow(
        attempt_id=row["id"],
        job_id=row["job_id"],
        n=row["n"],
        org=row["org"],
        model=row["model"],
        tenant=row["tenant"],
        priority=row["priority"],
        delivery=row["delivery"],
        operation=row["operation"],
        size=row["size"],
        quality=row["quality"],
        intent=row["intent"],
        tags=cast("dict[str, str]", json.loads(row["tags"])),
        state=row["state"],
        upper_bound_nano=row["upper_bound_nano"],
        usd_nano=row["upper_bound_nano"] if usd_nano is None else usd_nano,
        images=row["images"],
        catalog_version=row["catalog_version"],
        held_at=moment(row["held_at_us"]),
        sent_at=moment_or_none(row["sent_at_us"]),
        ended_at=moment_or_none(row["ended_at_us"]),
        status_code=row["status_code"],
        error_code=row["error_code"],
        error_message=row["error_message"],
        request_id=row["request_id"],
        client_request_id=row["client_request_id"],
        usage=None if row["usage"] is None else cast("dict[str, object]", json.loads(row["usage"])),
        reason=row["reason"],
    )


def outcome_of(row: OutcomeColumns) -> Outcome:
    """Return the outcome of a row."""
    return Outcome(
        job_id=row["job_id"],
        status=row["status"],
        finished_at=moment(row["finished_at_us"]),
        attempt_id=row["attempt_id"],
        images=images_of(row["images"]),
        cost=_cost_of(row),
        error=_error_of(row),
        cached=bool(row["cached"]),
        saved_nano=row["saved_nano"],
        kept=None if row["kept"] is None else tuple(cast("list[str]", json.loads(row["kept"]))),
        facts=_facts_of(row),
    )


def _facts_of(row: OutcomeColumns) -> JobFacts:
    return JobFacts(
        model=row["model"],
        tenant=row["tenant"],
        priority=row["priority"],
        org=row["org"],
        delivery=row["delivery"],
        tags=cast("dict[str, str]", json.loads(row["tags"])),
        intent=row["intent"],
        catalog_version=row["catalog_version"],
    )


def _cost_of(row: OutcomeColumns) -> JobCost | None:
    if row["usd_nano"] is None:
        return None
    return JobCost(usd_nano=row["usd_nano"], model=row["model"], org=row["org"], delivery=row["delivery"])


def _error_of(row: OutcomeColumns) -> JobError | None:
    if row["error_code"] is None:
        return None
    return JobError(code=row["error_code"], message=row["error_message"] or "", retryable=bool(row["retryable"]))
