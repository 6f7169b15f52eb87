"""The job: what an app asks for. One frozen shape, the same in the queue, at every door and in the ledger."""

import json
import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, from_json, to_json

from imagequeue.config.errors import JobRefused
from imagequeue.config.money import NanoUsd, parse_usd
from imagequeue.config.nearest import did_you_mean
from imagequeue.config.references import REFERENCE_CHARACTERS_MAX, checked_reference

FUNCTION_NAME: Final = "imagequeue.worker.tasks.image_job"
"""The only function name that is ever run."""

PRIORITIES: Final = ("high", "default", "low")

PROMPT_CHARACTERS_MAX: Final = 32_000
IMAGES_PER_JOB_MAX: Final = 10
INPUT_IMAGES_MAX: Final = 16
PARTIAL_IMAGES_MAX: Final = 3
PROMPT_NEEDED: Final = "a prompt with at least one visible character is needed"
ATTEMPTS_MAX: Final = 100
TAGS_MAX: Final = 32
METADATA_BYTES_MAX: Final = 16_384
JOB_BYTES_MAX: Final = 1_048_576
COMPRESSED_BYTES_MIN: Final = 256
NESTING_MAX: Final = 16
NEAREST_CHARACTERS_MAX: Final = 64
"""A longer name than this is no misspelt field."""
JOB_ID_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")

Priority = Literal["high", "default", "low"]
Operation = Literal["generation", "edit", "variation"]
CacheUse = Literal["off", "use", "refresh"]
Delivery = Literal["now", "batch", "auto"]
OnDoubt = Literal["retry", "hold"]

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,63}$"
PARAMETER_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$"
WEBHOOK_PATTERN: Final = r"^https?://"
PATTERN_WORDS: Final[Mapping[str, str]] = {
    NAME_PATTERN: "1 to 64 letters, digits and _ . : @ / - are accepted, a letter or digit first",
    PARAMETER_PATTERN: "1 to 32 letters, digits and _ . - are accepted, a letter or digit first",
    WEBHOOK_PATTERN: "an http(s) address is accepted",
}

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Parameter = Annotated[str, StringConstraints(pattern=PARAMETER_PATTERN)]


def _aware(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time between the years 1 and 9999 in UTC is needed") from error


def _storable(text: str) -> str:
    """Refuse what PostgreSQL and UTF-8 cannot hold, before it makes a job that nobody can store."""
    if _UNSTORABLE.search(text):
        raise ValueError("text without NUL characters and lone surrogates is needed")
    return text


def _usd(amount: Decimal | None) -> Decimal | None:
    if amount is not None and parse_usd(amount) < 0:
        raise ValueError("an amount of dollars that is not negative is needed")
    return amount


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    _check_value(metadata, NESTING_MAX)
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
    except TypeError as error:
        raise ValueError("values that JSON can hold are needed") from error
    if len(text.encode()) > METADATA_BYTES_MAX:
        raise ValueError(f"at most {METADATA_BYTES_MAX} bytes of JSON are needed")
    return metadata


def _check_value(value: object, levels: int) -> None:
    """Refuse text that cannot be stored, and more than `levels` levels of lists and objects."""
    if isinstance(value, str):
        _storable(value)
    elif isinstance(value, dict | list):
        if levels == 0:
            raise ValueError(f"nesting of at most {NESTING_MAX} levels is needed")
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_value(item, levels - 1)


def _not_bool(number: object) -> object:
    if isinstance(number, bool):
        raise ValueError("a whole number is needed")  # noqa: TRY004 - pydantic reads ValueError
    return number


Whole = Annotated[int, BeforeValidator(_not_bool)]
Moment = Annotated[datetime, AfterValidator(_aware)]
TagValue = Annotated[str, StringConstraints(max_length=256), AfterValidator(_storable)]
Reference = Annotated[
    str,
    StringConstraints(min_length=1, max_length=REFERENCE_CHARACTERS_MAX),
    AfterValidator(_storable),
    AfterValidator(checked_reference),
]
Intent = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_storable)]
IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_storable)]


class Job(BaseModel):
    """One request for images. Only `prompt` is required, and not even that for a variation; unknown fields are refused.

    `images` and `mask` name inputs, see `references`. `partial_images` are sketches that are shown while the image is
    made. `model` None means the first of the configured models that an organization still serves; `size` and
    `quality` None mean the model's standard. Times are aware UTC. `max_cost_usd` is in dollars.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, json_schema_extra={"required": ["prompt"]})

    prompt: Annotated[
        str,
        StringConstraints(max_length=PROMPT_CHARACTERS_MAX),
        AfterValidator(_storable),
        Field(json_schema_extra={"minLength": 1}),
    ] = ""
    model: Name | None = None
    operation: Operation = "generation"
    n: Annotated[Whole, Field(ge=1, le=IMAGES_PER_JOB_MAX)] = 1
    size: Parameter | None = None
    quality: Parameter | None = None
    style: Parameter | None = None
    background: Parameter | None = None
    output_format: Parameter | None = None
    images: Annotated[tuple[Reference, ...], Field(max_length=INPUT_IMAGES_MAX)] = ()
    mask: Reference | None = None
    partial_images: Annotated[Whole, Field(ge=0, le=PARTIAL_IMAGES_MAX)] = 0
    priority: Priority = "default"
    tenant: Name = "default"
    tags: Annotated[dict[Name, TagValue], Field(max_length=TAGS_MAX)] = Field(default_factory=dict)
    intent: Intent | None = None
    idempotency_key: IdempotencyKey | None = None
    cache: CacheUse | None = None
    overflow: Annotated[tuple[Name, ...], Field(max_length=8)] = ()
    delivery: Delivery = "now"
    deadline: Moment | None = None
    not_before: Moment | None = None
    max_attempts: Annotated[Whole, Field(ge=1, le=ATTEMPTS_MAX)] = 5
    max_cost_usd: Annotated[Decimal, AfterValidator(_usd)] | None = None
    on_doubt: OnDoubt = "retry"
    webhook: Annotated[str, StringConstraints(pattern=WEBHOOK_PATTERN, max_length=2048)] | None = None
    metadata: Annotated[dict[str, Any], AfterValidator(_small)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_prompt(self) -> Self:
        """A variation is made of an image alone; everything else needs words."""
        if self.operation != "variation" and not self.prompt.strip():
            problem = PydanticCustomError("value_error", PROMPT_NEEDED)
            details = InitErrorDetails(type=problem, loc=("prompt",), input=self.prompt)
            raise ValidationError.from_exception_data("Job", [details])
        return self

    def max_cost_nano_usd(self) -> NanoUsd | None:
        """Return the job's own price ceiling, or None when it has none."""
        return None if self.max_cost_usd is None else parse_usd(self.max_cost_usd)


def parse_job(value: object) -> Job:
    """Return the job in a decoded JSON value; JobRefused names the first field that is wrong."""
    try:
        return Job.model_validate(value)
    except ValidationError as error:
        raise refusal(error) from error
    except RecursionError as error:
        raise JobRefused("job", f"nesting of at most {NESTING_MAX} levels") from error


def parse_job_json(text: str | bytes) -> Job:
    """Return the job in JSON text of at most JOB_BYTES_MAX bytes; JobRefused otherwise."""
    if len(text) > JOB_BYTES_MAX:
        raise JobRefused("job", f"at most {JOB_BYTES_MAX} bytes of JSON")
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise JobRefused("job", f"valid JSON is needed: {error}") from error
    return parse_job(value)


def refusal(error: ValidationError) -> JobRefused:
    """Return the first problem of a validation as one line that names the field."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "job"
    if first["type"] == "extra_forbidden":
        meant = did_you_mean(field[:NEAREST_CHARACTERS_MAX], Job.model_fields)
        return JobRefused(field, f"unknown field{meant}; known are {', '.join(Job.model_fields)}")
    if first["type"] in {"model_type", "dict_type"}:
        return JobRefused(field, "a JSON object is needed")
    accepted = _accepted(first["type"], first.get("ctx", {}))
    return JobRefused(field, accepted or first["msg"].removeprefix("Value error, "))


def _accepted(kind: str, context: Mapping[str, Any]) -> str | None:
    """Say what is accepted where the validator's own words only say what it met."""
    if kind == "string_pattern_mismatch":
        return PATTERN_WORDS.get(context["pattern"])
    if kind.startswith("datetime"):
        return "a time in ISO 8601 is needed, e.g. 2026-11-22T18:00:00Z"
    return None


def queue_name(model: str, priority: str) -> str:
    """Return the RQ queue of a model and priority, e.g. `dall-e-3.high`."""
    return f"{model}.{priority}"


def encode_data(job: Job) -> bytes:
    """Return what RQ keeps in a job hash's `data`: the JSON call of our one function, compressed where that pays.

    RQ reads either. A short call would become a few bytes shorter and take as long as all the rest of its encoding.
    """
    call = to_json([FUNCTION_NAME, None, [job.model_dump(mode="json", exclude_defaults=True)], {}])
    return call if len(call) < COMPRESSED_BYTES_MIN else zlib.compress(call, 1)
