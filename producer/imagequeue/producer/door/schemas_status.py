"""The shape of the status in JSON Schema, and of a reconciled day. Values only."""

from typing import Final

from imagequeue.producer.door.schemas import MOMENT, TEXT, USD, WHOLE, YES_NO, items, maybe, obj

DAY: Final = obj(
    {
        **dict.fromkeys(("org", "day", "note"), TEXT),
        **dict.fromkeys(("checked_at", "next_at"), maybe(MOMENT)),
        "failures": WHOLE,
        **dict.fromkeys(("billed_usd", "unexplained_usd"), maybe(USD)),
        "in_doubt": maybe(WHOLE),
    }
)
DAY_EXAMPLE: Final = {
    "org": "main",
    "day": "2026-11-20",
    "checked_at": "2026-11-22T03:00:04.000000Z",
    "next_at": None,
    "failures": 0,
    "billed_usd": "412.440000000",
    "unexplained_usd": "0.000000000",
    "in_doubt": 0,
    "note": "",
}
QUEUE_EXAMPLE: Final = {
    "name": "dall-e-3.high",
    "model": "dall-e-3",
    "priority": "high",
    "queued": 120,
    "running": 40,
    "waiting": 0,
    "parked": 0,
    "failed": 2,
    "oldest_s": 4.2,
    "served": True,
    "joined": 0,
    "suspended": "",
}
POOL_EXAMPLE: Final = {
    "name": "main|dall-e-3",
    "org": "main",
    "models": ["dall-e-3"],
    "images_per_minute": 5000.0,
    "tokens_per_minute": None,
    "source": "limits of organization main",
    "pace_images_per_minute": 4500.0,
    "factor": 1.0,
    "used_share": 0.87,
    "paused_until": None,
    "pause_reason": "",
    "suspended": "",
    "suspended_until": None,
    "images_started": 41_200,
    "calls_refused": 0,
    "effective_images_per_minute": 5555.556,
    "lowered": "",
    "trouble": "",
    "unserved": "",
}
WORKER_EXAMPLE: Final = {
    "name": "host-1-4711",
    "host": "host-1",
    "pid": 4711,
    "state": "busy",
    "note": "",
    "in_flight": 40,
    "lease_until": "2026-11-22T10:00:12.000000Z",
}
STATUS_OF_ALL: Final = {
    "type": "object",
    "required": ["at", "suspended", "totals", "queues", "pools", "workers", "held_tenants", "cache"],
    "properties": {
        "at": MOMENT,
        "suspended": YES_NO,
        "totals": {"type": "object"},
        **{name: items({"type": "object"}) for name in ("queues", "pools", "workers", "held_tenants")},
        "cache": maybe({"type": "object"}),
        "at_least": YES_NO,
        "reconciliation": maybe(
            items(obj({"org": TEXT, "last": maybe(DAY), "open": items(DAY), "due": items(TEXT)})),
        ),
        "in_doubt": maybe(obj({"attempts": WHOLE, "usd": USD, "oldest": maybe(MOMENT)})),
        "batches": maybe(items({"type": "object"})),
    },
    "description": (
        "`reconciliation`, `in_doubt` and `batches` are for keys of all tenants, and null while the ledger does not "
        "answer. The key of one tenant gets its own counts in `totals` and `queues` (`at_least` says that the newest "
        "50,000 jobs of all tenants were looked at and there are more), null for what is a sum over tenants, and no "
        "`workers`."
    ),
    "examples": [
        {
            "at": "2026-11-22T10:00:00.000000Z",
            "suspended": False,
            "totals": {"queued": 120, "running": 40, "waiting": 0, "parked": 0, "failed": 2, "joined": 0},
            "queues": [QUEUE_EXAMPLE],
            "pools": [POOL_EXAMPLE],
            "workers": [WORKER_EXAMPLE],
            "held_tenants": [],
            "cache": {"window_s": 86400, "made": 900, "stored": 80, "joined": 20, "hit_rate": 0.1},
            "reconciliation": [{"org": "main", "last": DAY_EXAMPLE, "open": [], "due": []}],
            "in_doubt": {"attempts": 1, "usd": "0.040000000", "oldest": "2026-11-22T09:12:03.000000Z"},
            "batches": [],
        }
    ],
}
