"""The description of the API in OpenAPI 3.1, built from the job itself and the shapes of the answers. Pure."""

import functools
from importlib.metadata import version
from typing import Any, Final

from imagequeue.config.job import Job
from imagequeue.producer.door import schemas
from imagequeue.producer.door.description_answers import with_answers
from imagequeue.producer.door.description_books import described_books
from imagequeue.producer.door.events import JOBS_PER_STREAM_MAX
from imagequeue.producer.door.jobs import JOBS_PER_REQUEST_MAX
from imagequeue.producer.door.openai_images import JOB_HEADER
from imagequeue.producer.door.operations import answer, body, form, header, in_path, in_query, operation
from imagequeue.producer.door.prompts import FINDINGS_HEADER
from imagequeue.producer.door.prompts import HEADER as CHECK_HEADER
from imagequeue.producer.door.prompts import MODES as CHECK_MODES
from imagequeue.producer.door.queries import WAIT_SECONDS_MAX
from imagequeue.producer.door.schemas import TEXT, Schema, items, maybe, obj, ref
from imagequeue.producer.door.schemas_status import STATUS_OF_ALL
from imagequeue.queue.listing import PAGE_MAX

JOB_EXAMPLE: Final = {"prompt": "a lighthouse at dusk", "model": "dall-e-3", "priority": "high", "tags": {"team": "a"}}
BULK_EXAMPLE: Final = '{"prompt": "a lighthouse at dusk"}\n{"prompt": "a fox in the snow", "priority": "low"}\n'
RETRY_EXAMPLE: Final = {"priority": "high"}
EVENT_STREAM: Final = "text/event-stream"
KEEP_EXAMPLE: Final = {"images": [schemas.SHA256]}

CHECK: Final = header(
    CHECK_HEADER, "What to do about prompts that often need another try.", {"enum": list(CHECK_MODES)}
)


@functools.cache
def describe() -> dict[str, Any]:
    """Return the description, ready for JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imagequeue",
            "version": version("imagequeue"),
            "description": "A paced, metered queue in front of a paid image API.",
        },
        "security": [{"key": []}],
        "paths": with_answers(
            {**_jobs(), **_one_job(), **_images(), **_reports(), **described_books(), **_switches(), **_health()}
        ),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "iq_..."}},
        },
    }


def _schemas() -> dict[str, Schema]:
    job = Job.model_json_schema(ref_template="#/components/schemas/{model}")
    return {
        "Job": {**job, "additionalProperties": False, "examples": [JOB_EXAMPLE]},
        "JobView": schemas.VIEW,
        "Image": schemas.IMAGE,
        "Attempt": schemas.ATTEMPT,
        "Created": schemas.CREATED,
        "Acted": schemas.ACTED,
        "Status": STATUS_OF_ALL,
        "Error": schemas.ERROR,
    }


def _jobs() -> dict[str, Any]:
    many = {**items(ref("Job")), "minItems": 1, "maxItems": JOBS_PER_REQUEST_MAX}
    created = {"anyOf": [ref("Created"), obj({"jobs": items(ref("Created"))})]}
    page = obj({"jobs": items(ref("JobView")), "next": maybe(schemas.TEXT)})
    lines = {"content": {"application/x-ndjson": {"schema": schemas.TEXT, "example": BULK_EXAMPLE}}, "required": True}
    key = header("Idempotency-Key", "The same key and body again is the same job.", {"maxLength": 255})
    return {
        "/v1/jobs": {
            "post": operation(
                "createJobs",
                "Queue one job or a list of them",
                202,
                created,
                body=body({"anyOf": [ref("Job"), many]}, JOB_EXAMPLE),
                parameters=[key, CHECK],
                errors=(409, 413),
            ),
            "get": operation("listJobs", "List jobs", 200, page, parameters=_filters()),
        },
        "/v1/jobs/bulk": {
            "post": operation(
                "createBulk",
                "Queue any number of jobs, one JSON object a line",
                202,
                schemas.TALLY,
                body=lines,
                parameters=[in_query("handles", {"enum": ["0", "1"]}), CHECK],
                errors=(409, 413),
            )
        },
    }


def _one_job() -> dict[str, Any]:
    path, job = "/v1/jobs/{id}", in_path("id", "^[A-Za-z0-9_-]{1,64}$")
    wait = in_query("wait", {"type": "number", "minimum": 0, "maximum": WAIT_SECONDS_MAX})
    shown = "Show a job, once it has ended or the wait is over"
    show = operation("showJob", shown, 200, ref("JobView"), parameters=[job, wait], errors=(404,))
    followed = "Follow a job by server-sent events"
    stream = operation("jobEvents", followed, 200, schemas.TEXT, media=EVENT_STREAM, parameters=[job], errors=(404,))
    ids = in_query("id", {"type": "array", "minItems": 1, "maxItems": JOBS_PER_STREAM_MAX, "items": schemas.TEXT})
    many = operation(
        "jobsEvents",
        "Follow some jobs by server-sent events, until all have ended",
        200,
        schemas.TEXT,
        media=EVENT_STREAM,
        parameters=[{**ids, "required": True}],
        errors=(404,),
    )
    return {
        path: {"get": show},
        "/v1/jobs/events": {"get": many},
        f"{path}/events": {"get": stream},
        f"{path}/cancel": {"post": _act("cancelJob", "Cancel a job unless its call was sent", job, None)},
        f"{path}/retry": {"post": _act("retryJob", "Queue a job again", job, body(schemas.RETRY, RETRY_EXAMPLE))},
        f"{path}/priority": {
            "post": operation(
                "prioritizeJob",
                "Change the priority of a job that has not started",
                200,
                ref("Acted"),
                parameters=[job],
                body=body({**schemas.RETRY, "required": ["priority"]}, RETRY_EXAMPLE),
                errors=(404, 409, 413),
            )
        },
        f"{path}/keep": {"post": _act("keepJob", "Note which images are used", job, body(schemas.KEEP, KEEP_EXAMPLE))},
    }


def _act(name: str, summary: str, job: Schema, body: Schema | None) -> dict[str, Any]:
    optional = None if body is None else {**body, "required": False}
    return operation(name, summary, 200, ref("Acted"), parameters=[job], body=optional, errors=(404, 409, 413))


def _image_call(name: str, summary: str, asked: Schema, *, streams: bool = True) -> dict[str, Any]:
    headers = [
        header("X-ImageQueue-Priority", "high unless told.", {"enum": ["high", "default", "low"]}),
        header("X-ImageQueue-Tenant", "Whose job it is.", {}),
        header("X-ImageQueue-Cache", "Whether a stored result may answer.", {"enum": ["off", "use", "refresh"]}),
        CHECK,
        header("X-ImageQueue-Patience", "Seconds to wait in line.", {"pattern": r"^\d{1,4}$"}),
    ]
    errors = (404, 408, 409, 413, 504)
    call = operation(name, summary, 200, schemas.GENERATED, body=asked, parameters=headers, errors=errors)
    if streams:
        events = {"type": "string", "description": "With `stream`: the API's events, each image in base64."}
        call["responses"]["200"]["content"][EVENT_STREAM] = {"schema": events}
    call["responses"]["200"]["headers"] = {
        FINDINGS_HEADER: {"description": "What the prompt check found, as a JSON list, if asked for.", "schema": TEXT},
        JOB_HEADER: {"description": "The job's id.", "schema": TEXT},
    }
    return {"post": call}


def _images() -> dict[str, Any]:
    show = operation(
        "showImage",
        "An image by the SHA-256 of its bytes",
        200,
        {"type": "string", "contentMediaType": "image/*"},
        media="image/*",
        parameters=[in_path("sha256", "^[0-9a-f]{64}$")],
        errors=(404, 416),
    )
    show["responses"]["304"] = {"description": "The client has it."}
    show["responses"]["206"] = {**show["responses"]["200"], "description": "The part that `Range` asks for."}
    return {
        "/v1/images/generations": _image_call(
            "generate",
            "The image API's own call: queued, waited for, answered",
            body(schemas.GENERATION, schemas.GENERATION["examples"][0]),
        ),
        "/v1/images/edits": _image_call(
            "edit",
            "The image API's own call with input images: by form, or by JSON that names them",
            form(schemas.EDIT_FORM, schemas.EDIT),
        ),
        "/v1/images/variations": _image_call(
            "vary",
            "The image API's own call for a variation, where a server still has it",
            form(schemas.VARIATION_FORM),
            streams=False,
        ),
        "/v1/images": {
            "post": operation(
                "uploadImages",
                "Keep images, to be named by jobs that edit them",
                201,
                schemas.UPLOADED,
                body=form(schemas.UPLOAD_FORM),
                parameters=[in_query("tenant", {"type": "string", "minLength": 1, "maxLength": 64})],
                errors=(413,),
            )
        },
        "/v1/images/{sha256}": {"get": show},
        "/v1/models": {"get": operation("listModels", "Models that are served", 200, schemas.MODELS)},
        "/v1/models/{model}": {
            "get": operation(
                "showModel",
                "One of the models that are served",
                200,
                schemas.MODEL,
                parameters=[in_path("model", "^[^/]{1,64}$")],
                errors=(404,),
            )
        },
    }


def _reports() -> dict[str, Any]:
    group = {"type": "string", "pattern": r"^((model|org|tenant|priority|day|intent|tag:\w+)(,|$))*$"}
    spans = [in_query(name, {"type": "string", "format": "date"}) for name in ("since", "until")]
    summary = operation(
        "ledgerSummary",
        "What was spent, held and saved",
        200,
        schemas.FIGURES,
        parameters=[in_query("group_by", group), *spans],
    )
    return {
        "/v1/status": {"get": operation("showStatus", "Queues, pools and workers", 200, ref("Status"))},
        "/v1/ledger/summary": {"get": summary},
        "/v1/advice": {"get": operation("showAdvice", "What would help in the longer run", 200, schemas.ADVICE)},
        "/metrics": {"get": operation("showMetrics", "Figures for Prometheus", 200, schemas.TEXT, media="text/plain")},
    }


def _switches() -> dict[str, Any]:
    pool = [in_path(name, "^[^/]{1,64}$") for name in ("org", "group")]
    suspend = body(schemas.SUSPEND, {"reason": "weekend", "minutes": 120})
    return {
        "/v1/pools/{org}/{group}/suspend": {
            "post": operation(
                "suspendPool",
                "Start no more calls of an organization's limit group",
                200,
                schemas.SWITCHED,
                parameters=pool,
                body={**suspend, "required": False},
                errors=(404, 413),
            )
        },
        "/v1/pools/{org}/{group}/resume": {
            "post": operation(
                "resumePool",
                "End a pool's suspension, pause and lowered pace",
                200,
                schemas.SWITCHED,
                parameters=pool,
                errors=(404,),
            )
        },
    }


def _health() -> dict[str, Any]:
    alive = {"200": answer("It lives.", schemas.HEALTH)}
    ready = {"200": answer("All parts can be reached.", schemas.HEALTH)}
    ready["503"] = answer("Some cannot.", schemas.HEALTH)
    own = {"200": answer("This description.", {"type": "object"})}
    named = {"/healthz": ("alive", alive), "/readyz": ("ready", ready), "/openapi.json": ("describe", own)}
    return {
        path: {"get": {"operationId": name, "security": [], "responses": responses}}
        for path, (name, responses) in named.items()
    }


def _filters() -> list[Schema]:
    many = {"type": "array", "maxItems": 7, "items": schemas.STATUS}
    tags = {"type": "array", "maxItems": 8, "items": {"type": "string", "pattern": "^[^=]+=[^=]*$"}}
    return [
        in_query("status", many),
        in_query("tag", tags),
        in_query("priority", {"type": "string", "enum": ["high", "default", "low"]}),
        *(in_query(name, {"type": "string", "minLength": 1, "maxLength": 64}) for name in ("model", "tenant", "error")),
        in_query("q", {"type": "string", "minLength": 1, "maxLength": 200, "description": "Words of the prompt."}),
        in_query("limit", {"type": "integer", "minimum": 1, "maximum": PAGE_MAX}),
        in_query("after", {"type": "string", "description": "`next` of the page before."}),
    ]
