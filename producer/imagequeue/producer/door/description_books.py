"""The description of what the pages read beside jobs: thumbnails, the planner, the ledger's state, webhooks. Pure."""

from typing import Any, Final

from imagequeue.producer.door.operations import in_path, in_query, operation
from imagequeue.producer.door.planning import OPTIONS, TEXT_CHARACTERS_MAX, WHOLE
from imagequeue.producer.door.schemas import MOMENT, NUMBER, TEXT, USD, Schema, items, maybe, obj
from imagequeue.producer.door.schemas import WHOLE as WHOLE_NUMBER
from imagequeue.producer.door.schemas_status import DAY

LIMITS: Final = ("images_per_minute", "tokens_per_minute", "monthly_cap")
CAP: Final = obj(
    {
        "kind": {"type": "string", "enum": ["org_month", "tenant_day", "tenant_month", "tenant_total"]},
        "name": TEXT,
        "limit_usd": USD,
        **dict.fromkeys(("used_usd", "settled_usd", "held_usd", "in_doubt_usd", "left_usd"), USD),
        "used_share": NUMBER,
        "starts_anew": maybe(MOMENT),
        "warnings": items(obj({"percent": WHOLE_NUMBER, "used_usd": USD, "at": MOMENT})),
        "source": {"type": "string", "enum": ["configured", "set"]},
        "set": maybe(obj({"at": MOMENT, "by": TEXT, "reason": TEXT})),
    }
)
CALLS: Final = obj(
    {
        **dict.fromkeys(("window_s", "calls", "answered", "refused", "failed"), WHOLE_NUMBER),
        **dict.fromkeys(("error_rate", "p50_s", "p95_s"), maybe(NUMBER)),
    }
)
DOUBT: Final = obj(
    {
        **dict.fromkeys(("attempt_id", "n"), WHOLE_NUMBER),
        **dict.fromkeys(("job_id", "org", "model", "tenant"), TEXT),
        "held_usd": USD,
        "held_at": MOMENT,
        "sent_at": maybe(MOMENT),
        "error_code": maybe(TEXT),
    }
)
CREDIT: Final = obj(
    {
        **dict.fromkeys(("org", "kind", "source"), TEXT),
        **dict.fromkeys(("credits", "credits_left"), WHOLE_NUMBER),
        **dict.fromkeys(("paid_usd", "worth_left_usd"), USD),
        "expires_at": maybe(MOMENT),
    }
)
ENDPOINTS: Final = obj(
    {"waiting": WHOLE_NUMBER, "retrying": WHOLE_NUMBER, "overdue_s": NUMBER, "endpoints": items({"type": "object"})}
)
MESSAGE: Final = obj(
    {
        "id": WHOLE_NUMBER,
        "url": TEXT,
        "event": TEXT,
        "state": {"type": "string", "enum": ["waiting", "retrying", "delivered", "given_up"]},
        "tries": WHOLE_NUMBER,
        "created_at": MOMENT,
        **dict.fromkeys(("next_try", "delivered_at", "gave_up_at"), maybe(MOMENT)),
        "last_error": maybe(TEXT),
    }
)
PLAN: Final = obj(
    {
        "demand": {"type": "object"},
        "model": TEXT,
        "share_of_ceiling": maybe(NUMBER),
        "binding": {"type": "object"},
        "limits": obj({name: {"type": "object"} for name in LIMITS}),
        "cost": {"type": "object"},
        "models": items({"type": "object"}),
        "alternatives": items({"type": "object"}),
        "advice": items(TEXT),
    }
)


def described_books() -> dict[str, Any]:
    """Return the paths."""
    return {
        "/v1/images/{sha256}/thumbnail": {"get": _thumbnail()},
        "/v1/plan": {
            "get": operation("plan", "What a volume of images needs and costs", 200, PLAN, parameters=_options())
        },
        "/v1/ledger/caps": _read("ledgerCaps", "Caps, their use and warnings", {"caps": items(CAP)}),
        "/v1/ledger/calls": {"get": operation("recentCalls", "How the calls of ten minutes went", 200, CALLS)},
        "/v1/ledger/doubts": _read("ledgerDoubts", "Calls sent and never answered", {"doubts": items(DOUBT)}),
        "/v1/ledger/reconciliation": _read(
            "ledgerReconciliation",
            "Days compared with the provider's bill",
            {"since": TEXT, "automatic": items(TEXT), "days": items(DAY)},
        ),
        "/v1/ledger/credits": _read("ledgerCredits", "Operations paid for in advance", {"credits": items(CREDIT)}),
        "/v1/webhooks": {"get": operation("showWebhooks", "Whether webhooks arrive", 200, ENDPOINTS)},
        "/v1/jobs/{id}/webhooks": {
            "get": operation(
                "jobWebhooks",
                "The messages about a job",
                200,
                obj({"webhooks": items(MESSAGE)}),
                parameters=[in_path("id", "^[A-Za-z0-9_-]{1,64}$")],
                errors=(404,),
            )
        },
    }


def _read(name: str, summary: str, properties: Schema) -> dict[str, Any]:
    return {"get": operation(name, summary, 200, obj(properties))}


def _thumbnail() -> dict[str, Any]:
    found = operation(
        "showThumbnail",
        "A small picture of an image, at most 320 pixels a side",
        200,
        {"type": "string", "contentMediaType": "image/webp"},
        media="image/webp",
        parameters=[in_path("sha256", "^[0-9a-f]{64}$")],
        errors=(404,),
    )
    found["responses"]["304"] = {"description": "The client has it."}
    return found


def _options() -> list[Schema]:
    text = {"type": "string", "maxLength": TEXT_CHARACTERS_MAX}
    return [in_query(name, {"type": "integer", "minimum": 0} if name in WHOLE else text) for name in OPTIONS]
