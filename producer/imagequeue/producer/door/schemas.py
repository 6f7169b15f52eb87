"""Shapes of the answers, as JSON Schema (2020-12), and one example of each. Values only."""

from typing import Any, Final

from imagequeue.config.job import PRIORITIES

Schema = dict[str, Any]

JOB_ID: Final = "0d9f4c3f5f8e4c0f9a4e6f0a3b1c2d3e"
SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
STATUSES: Final = ("queued", "waiting", "running", "succeeded", "failed", "cancelled", "expired")
REASONS: Final = ("pace", "paused", "budget", "backoff", "batch", "doubt", "joined")


def obj(properties: Schema, *, required: tuple[str, ...] | None = None) -> Schema:
    """Return the schema of an object; all properties are required unless told."""
    return {"type": "object", "properties": properties, "required": list(required or properties)}


def maybe(schema: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def items(schema: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


def ref(name: str) -> Schema:
    """Return a reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer"}
NUMBER: Final[Schema] = {"type": "number"}
YES_NO: Final[Schema] = {"type": "boolean"}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
USD: Final[Schema] = {
    "type": "string",
    "pattern": r"^-?\d+\.\d{9}$",
    "description": "Dollars with nine decimals.",
    "examples": ["0.040000000"],
}
STATUS: Final[Schema] = {"type": "string", "enum": list(STATUSES)}

ERROR: Final = {
    **obj(
        {
            "error": obj(
                {"message": TEXT, "type": TEXT, "param": maybe(TEXT), "code": maybe(TEXT), "request_id": TEXT},
                required=("message", "type", "param", "code"),
            )
        }
    ),
    "examples": [
        {
            "error": {
                "message": "n: dall-e-3 makes at most 1 per call, not 4; accepted: 1 to 1",
                "type": "invalid_request_error",
                "param": "n",
                "code": "invalid_value",
            }
        }
    ],
}
FINDING: Final = obj(
    {
        "code": TEXT,
        "severity": {"type": "string", "enum": ["error", "warning", "hint"]},
        "spans": items(obj({"start": WHOLE, "end": WHOLE, "text": TEXT})),
        "advice": TEXT,
    }
)
CREATED: Final = {
    "type": "object",
    "required": ["id", "status", "created"],
    "properties": {"id": TEXT, "status": STATUS, "created": YES_NO, "findings": items(FINDING)},
    "description": "`created` false: the same job was there before, by its idempotency key. `findings` if asked for.",
    "examples": [{"id": JOB_ID, "status": "queued", "created": True}],
}
TALLY: Final = {
    "type": "object",
    "required": ["jobs", "created", "chunks", "next_line"],
    "properties": {
        "jobs": WHOLE,
        "created": WHOLE,
        "chunks": WHOLE,
        "next_line": WHOLE,
        "handles": items(obj({"id": TEXT, "created": YES_NO})),
        "flagged": WHOLE,
        "findings": items(obj({"line": WHOLE, "findings": items(FINDING)})),
    },
    "description": "`handles` with `handles=1`: the jobs' ids, in order. `findings` of the prompt check by line, of the"
    " first 1,000 of the `flagged` ones, if asked for.",
}
ACTED: Final = obj({"id": TEXT, "status": STATUS, "changed": YES_NO, "note": TEXT})
IMAGE: Final = obj(
    {
        "url": TEXT,
        "sha256": TEXT,
        "bytes": WHOLE,
        "width": WHOLE,
        "height": WHOLE,
        "format": TEXT,
        "revised_prompt": maybe(TEXT),
    }
)
ATTEMPT: Final = obj(
    {
        "n": WHOLE,
        "org": TEXT,
        "model": TEXT,
        "state": {"type": "string", "enum": ["held", "settled", "voided", "in_doubt", "reconciled"]},
        "usd": USD,
        "status_code": maybe(WHOLE),
        "error_code": maybe(TEXT),
        "request_id": maybe(TEXT),
        "sent_at": maybe(MOMENT),
        "ended_at": maybe(MOMENT),
    }
)
VIEW: Final = obj(
    {
        "id": TEXT,
        "status": STATUS,
        "waiting": maybe(
            obj({"reason": {"type": "string", "enum": list(REASONS)}, "until": maybe(MOMENT), "detail": TEXT})
        ),
        "job": {"type": "object", "description": "The job object, as far as it is still known."},
        "images": items(ref("Image")),
        "cost": maybe(obj({"usd": USD, "model": TEXT, "org": TEXT, "delivery": TEXT})),
        "attempts": items(ref("Attempt")),
        "error": maybe(obj({"code": TEXT, "message": TEXT, "retryable": YES_NO})),
        "timings": obj(
            {
                "enqueued": maybe(MOMENT),
                "started": maybe(MOMENT),
                "finished": maybe(MOMENT),
                "queued_s": maybe(NUMBER),
                "call_s": maybe(NUMBER),
            }
        ),
    }
)
FIGURES: Final = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("settled_usd", "held_usd", "in_doubt_usd", "voided_usd", "saved_usd"), USD),
        **dict.fromkeys(("images", "kept_images", "cache_hits"), WHOLE),
        **{name: maybe(USD) for name in ("usd_per_image", "usd_per_kept_image")},
        "attempts": {"type": "object", "additionalProperties": WHOLE},
        "groups": items({"type": "object"}),
    },
}
GENERATION: Final[Schema] = {
    "type": "object",
    "required": ["prompt"],
    "additionalProperties": False,
    "properties": {
        "prompt": {"type": "string", "minLength": 1, "maxLength": 32_000, "pattern": r"\S"},
        "model": maybe(TEXT),
        "n": maybe({"type": "integer", "minimum": 1, "maximum": 10}),
        **{name: maybe(TEXT) for name in ("size", "quality", "style", "background", "output_format")},
        "response_format": maybe({"type": "string", "enum": ["url", "b64_json"]}),
        **{name: maybe({**TEXT, "maxLength": 512}) for name in ("user", "safety_identifier")},
        "stream": maybe({"type": "boolean"}),
        "partial_images": maybe({"type": "integer", "minimum": 0, "maximum": 3}),
        "moderation": maybe({"type": "string", "const": "auto"}),
        "output_compression": maybe({"type": "integer", "const": 100}),
    },
    "examples": [{"model": "dall-e-3", "prompt": "a lighthouse at dusk", "size": "1792x1024"}],
}
_NAMED: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {
        "image_url": {"type": "string", "minLength": 1, "description": "An http(s) address or a base64 data URL."},
        "file_id": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "description": "Of an uploaded image."},
    },
}
_FILE: Final[Schema] = {"type": "string", "format": "binary"}
_IMAGES: Final[Schema] = {"type": "array", "items": _NAMED, "minItems": 1, "maxItems": 16}
_EDITED: Final[Schema] = {name: schema for name, schema in GENERATION["properties"].items() if name != "style"}
EDIT: Final[Schema] = {
    "type": "object",
    "required": ["prompt", "images"],
    "additionalProperties": False,
    "properties": {**_EDITED, "images": _IMAGES, "mask": maybe(_NAMED)},
    "examples": [{"prompt": "with a hat", "images": [{"file_id": f"sha256:{SHA256}"}]}],
}
EDIT_FORM: Final[Schema] = {
    "type": "object",
    "required": ["prompt", "image"],
    "properties": {**_EDITED, "image": {"type": "array", "items": _FILE, "maxItems": 16}, "mask": _FILE},
}
VARIATION_FORM: Final[Schema] = {
    "type": "object",
    "required": ["image"],
    "properties": {
        "image": _FILE,
        **{name: GENERATION["properties"][name] for name in ("model", "n", "size", "response_format", "user")},
    },
}
UPLOAD_FORM: Final[Schema] = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "array", "items": _FILE, "minItems": 1, "maxItems": 17}},
}
UPLOADED: Final = obj(
    {
        "images": items(
            obj(
                {
                    "reference": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
                    "sha256": TEXT,
                    "bytes": {"type": "integer"},
                    "width": {"type": "integer"},
                    "height": {"type": "integer"},
                    "format": {"type": "string", "enum": ["png", "jpeg", "webp", "gif"]},
                    "url": TEXT,
                }
            )
        )
    }
)
GENERATED: Final = {
    "type": "object",
    "required": ["created", "data"],
    "properties": {
        "created": WHOLE,
        "data": items({"type": "object", "properties": {"url": TEXT, "b64_json": TEXT, "revised_prompt": TEXT}}),
        "usage": {"type": "object"},
    },
}
MODEL: Final = obj(
    {
        "id": TEXT,
        "object": {"const": "model"},
        "created": WHOLE,
        "owned_by": TEXT,
        "shutdown_date": maybe({"type": "string", "format": "date"}),
    }
)
MODELS: Final = obj({"object": {"const": "list"}, "data": items(MODEL)})
HEALTH: Final = {"type": "object", "required": ["status"], "additionalProperties": TEXT}
RETRY: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"priority": {"type": "string", "enum": list(PRIORITIES)}},
}
SUSPEND: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "reason": {"type": "string", "minLength": 1, "maxLength": 200},
        "minutes": {"type": "number", "minimum": 0, "maximum": 525_600},
    },
}
SWITCHED: Final = obj({"pool": TEXT, "suspended": YES_NO, "changed": YES_NO})
KEEP: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "images": {"type": "array", "maxItems": 10, "items": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}
    },
}

_TOLD: Schema = {
    "code": {"type": "string"},
    "text": {"type": "string"},
    "figures": {"type": "object", "additionalProperties": {"type": ["string", "number", "null"]}},
}
ADVICE: Schema = {
    "type": "object",
    "required": ["findings"],
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "severity", "subject", "text", "figures", "options"],
                "properties": {
                    **_TOLD,
                    "severity": {"enum": ["info", "warning", "critical"]},
                    "subject": {"type": "string"},
                    "options": {"type": "array", "items": {"type": "object", "properties": _TOLD}},
                },
            },
        }
    },
}
"""What advice says: each finding with its figures, and what would help."""
