"""A scene for pictures and checks: an afternoon of an image service, with one of everything that can be shown."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard_door import FakeDoor, advised, books, job, planned, status, summary
from PIL import Image, ImageOps

from imagequeue.dashboard.history import History

NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
PROMPTS = (
    "A lighthouse on a cliff above the sea at dusk, seen from a fishing boat",
    "منارة فوق البحر عند الغروب، بالألوان المائية",
    "A very long prompt about a lighthouse, its keeper, the storm of that night and every ship that passed. " * 30,
    "Isometric drawing of a harbour with seven boats",
)
MODELS = ("dall-e-3", "gpt-image-2")


class StillClock:
    """A clock that always shows the same moment."""

    def now(self) -> datetime:
        """Return the moment of the scene."""
        return NOW


def ago(seconds: float) -> str:
    """Return a moment before the scene's, as the door writes it."""
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def set_scene(door: FakeDoor) -> None:
    """Fill a door."""
    door.clock = StillClock()
    started = _remember(door.history)
    door.status = _status(started)
    door.jobs = _jobs()
    door.summary = _summary()
    door.today = {**door.summary, "settled_usd": "212.440000000", "images": 5_311, "saved_usd": "96.000000000"}
    door.more = _books()
    door.following = "more"
    door.picture = _picture()


def clear_scene(door: FakeDoor) -> None:
    """Leave a door as a new installation's."""
    door.status = status(queues=[], workers=[], pools=[], totals={}, cache={"hit_rate": None})
    door.jobs, door.following, door.more = [], None, {}
    door.summary = {}


def _status(started: dict[str, int]) -> dict[str, Any]:
    pool, queue, worker = (status()[name][0] for name in ("pools", "queues", "workers"))
    main = {
        **pool, "name": "main|dall-e-3", "org": "main", "models": ["dall-e-3"], "source": "published for tier 5",
        "images_per_minute": 10_000.0, "pace_images_per_minute": 9_000.0, "used_share": 0.86, "lowered": "",
        "images_started": started["main|dall-e-3"], "calls_refused": 20, "effective_images_per_minute": 33_333.3,
    }  # fmt: skip
    second = {
        **main, "name": "second|gpt-image", "org": "second", "models": ["gpt-image-2"], "images_per_minute": 250.0,
        "tokens_per_minute": 800_000.0, "pace_images_per_minute": 180.0, "factor": 0.8, "used_share": 0.7,
        "lowered": "pace at 80 % for some seconds after refusals", "paused_until": ago(-21),
        "pause_reason": "429 rate_limit_exceeded: images per minute",
        "images_started": started["second|gpt-image"], "calls_refused": 30, "effective_images_per_minute": None,
    }  # fmt: skip
    third = {
        **main, "name": "third|dall-e-3", "org": "third", "suspended": "401 invalid_api_key", "used_share": 0.0,
        "images_started": started["third|dall-e-3"],
    }  # fmt: skip
    queues = [
        {**queue, "name": f"{model}.{priority}", "model": model, "priority": priority, "queued": queued,
         "running": queued % 97, "waiting": queued % 7, "failed": queued % 5, "oldest_s": age}
        for model, priority, queued, age in (
            ("dall-e-3", "high", 412, 3.1), ("dall-e-3", "default", 18_240, 122.0),
            ("dall-e-3", "low", 981_022, 8_460.0),
            ("gpt-image-2", "high", 0, None), ("gpt-image-2", "default", 326, 41.5),
        )
    ]  # fmt: skip
    workers = [
        {**worker, "name": f"worker-{number}", "host": "render-1", "pid": 4_700 + number, "state": "busy",
         "in_flight": 930 + number, "lease_until": ago(-14)}
        for number in (1, 2)
    ]  # fmt: skip
    totals = {"queued": 1_000_000, "running": 1_863, "waiting": 12, "parked": 1, "failed": 11}
    held = [{"tenant": "shop", "reason": "budget", "detail": "the cap of today, $50.00, is reached", "until": None}]
    return status(
        at=ago(0), pools=[main, second, third], queues=queues, workers=workers, totals=totals, held_tenants=held
    )


def _jobs() -> list[dict[str, Any]]:
    done = job("one", PROMPTS[0], error=None, waiting=None)
    attempt = {
        **done["attempts"][0], "org": "main", "model": "dall-e-3", "state": "settled", "error_code": None,
        "request_id": "req_8f2c", "sent_at": ago(40), "ended_at": ago(22),
    }  # fmt: skip
    refused = {
        **attempt, "n": 1, "state": "voided", "status_code": 429, "error_code": "rate_limit_exceeded",
        "usd": "0.000000000", "sent_at": ago(62), "ended_at": ago(61),
    }  # fmt: skip
    image = {**done["images"][0], "sha256": "a" * 64, "format": "png", "revised_prompt": PROMPTS[0]}
    second = {**image, "revised_prompt": PROMPTS[1]}
    timings = {"enqueued": ago(95), "started": ago(62), "finished": ago(22), "queued_s": 33.0, "call_s": 18.0}
    cost = {"usd": "0.040000000", "model": "dall-e-3", "org": "main", "delivery": "now"}
    return [
        {**done, "job": _asked(PROMPTS[0]), "images": [image], "attempts": [refused, {**attempt, "n": 2}],
         "timings": timings, "cost": cost},
        {**done, "id": "two", "job": _asked(PROMPTS[1], tenant="studio"), "images": [second],
         "attempts": [attempt],
         "timings": timings, "cost": cost},
        {**done, "id": "three", "status": "waiting", "job": _asked(PROMPTS[3], tenant="shop"), "images": [],
         "cost": None,
         "attempts": [], "timings": {"enqueued": ago(320)},
         "waiting": {"reason": "budget", "until": ago(-34_200), "detail": "the cap of today is reached"}},
        {**done, "id": "four", "status": "failed", "job": _asked(PROMPTS[2]), "images": [], "cost": None,
         "attempts": [{**refused, "status_code": 400, "error_code": "content_policy_violation"}], "timings": timings,
         "error": {"code": "content_policy_violation", "message": "the prompt was refused", "retryable": False}},
    ]  # fmt: skip


def _asked(prompt: str, tenant: str = "default") -> dict[str, Any]:
    return {
        **job("x")["job"], "prompt": prompt, "model": "dall-e-3", "operation": "generation", "size": "1024x1024",
        "quality": "standard", "style": "vivid", "priority": "default", "tenant": tenant, "intent": "cover-7",
        "tags": {"team": "web", "campaign": "winter"}, "overflow": ["gpt-image-2"],
    }  # fmt: skip


def _summary() -> dict[str, Any]:
    days = [(NOW - timedelta(days=back)).date().isoformat() for back in range(9)]
    found = summary(*days)
    found |= {"settled_usd": "18243.520000000", "images": 456_088, "kept_images": 182_435}
    found |= {"usd_per_kept_image": "0.100000000", "saved_usd": "1904.120000000", "regenerations_per_intent": 2.4}
    for back, group in enumerate(found["groups"]):
        spent = 2_871 - 211 * (back * 5 % 9)
        group |= {"settled_usd": f"{spent}.280000000", "images": spent * 25, "kept_images": spent * 10,
                  "usd_per_kept_image": "0.100000000"}  # fmt: skip
    return found


def _books() -> dict[str, dict[str, Any]]:
    found = books("main", percent=84)
    caps = found["/v1/ledger/caps"]["caps"]
    caps[0] |= {"limit_usd": "100000.000000000", "used_usd": "84002.100000000"}
    caps[1] |= {"name": "shop", "limit_usd": "50.000000000", "used_usd": "50.000000000", "used_share": 1.0}
    found["/v1/webhooks"]["endpoints"][0] |= {
        "name": "orders", "disabled": False, "delivered": 71_240, "failed": 3, "given_up": 0, "last_error": "503",
    }  # fmt: skip
    found["/v1/webhooks"] |= {"overdue_s": 2.0}
    found["/v1/ledger/calls"] |= {"calls": 400, "answered": 391, "failed": 4, "refused": 5, "error_rate": 0.0101}
    found["/v1/ledger/doubts"]["doubts"][0] |= {
        "job_id": "5c1e0b", "model": "dall-e-3", "tenant": "studio", "held_usd": "0.040000000", "sent_at": ago(1_260),
    }  # fmt: skip
    found["/v1/ledger/reconciliation"]["days"] = [
        {**found["/v1/ledger/reconciliation"]["days"][0], "day": day, "note": "", "billed_usd": "2660.040000000",
         "unexplained_usd": left, "in_doubt": 0, "checked_at": ago(30_000)}
        for day, left in (("2026-11-21", "0.000000000"), ("2026-11-20", "0.040000000"))
    ]  # fmt: skip
    found["/v1/ledger/credits"]["credits"][0] |= {
        "kind": "purchase",
        "source": "invoice 1107",
        "expires_at": ago(-9_000_000),
    }
    found["/v1/jobs/webhooks"]["webhooks"][0] |= {
        "url": "https://shop.example/hooks/images", "event": "job.succeeded", "state": "delivered", "tries": 1,
        "last_error": None, "next_try": None, "created_at": ago(22), "delivered_at": ago(21),
    }  # fmt: skip
    plan = found["/v1/plan"] = planned("dall-e-3")
    words = {"size": "1024x1024", "quality": "standard"}
    plan |= words
    plan["models"] = [{**plan["models"][0], **words, "model": name} for name in MODELS]
    plan["limits"]["images_per_minute"]["source"] = "published for tier 1"
    plan["limits"]["monthly_cap"]["source"] = plan["limits"]["tokens_per_minute"]["source"] = "published for tier 1"
    plan["alternatives"][0] |= {"label": "A subscription without an API", "note": "by hand only"}
    plan["advice"] = ["The monthly limit would be used 120 times: Tier 5 holds it; a cache lowers it."]
    found["/v1/advice"]["findings"] = [
        advised("dall-e-3 was retired on 2026-05-12.", "critical", "Name gpt-image-2 first in IMAGEQUEUE_MODELS."),
        advised(
            "main|dall-e-3 used over 80 % of its images a minute on 7 days running, 96 % at most.", "warning",
            "Tier 5 has 10,000 a minute.", "A cache that answers 3 in 10 brings it to 67 %.",
        ),
    ]  # fmt: skip
    return found


def _remember(history: History) -> dict[str, int]:
    """Ten minutes of readings: a steady pace, a storm of refusals, a pause, and recovery."""
    started = {"main|dall-e-3": 400_000, "second|gpt-image": 9_000, "third|dall-e-3": 5_000}
    refused = dict.fromkeys(started, 20)
    for step in range(0, 600, 4):
        stormy, paused = 240 <= step < 280, 280 <= step < 320
        started["main|dall-e-3"] += round(4 * (150 if not stormy else 90) * (0.94 + 0.06 * (step * 7 % 11) / 11))
        started["second|gpt-image"] += 0 if paused else 4 * 3
        refused["second|gpt-image"] += 2 if stormy and step % 8 == 0 else 0
        pools = [
            {"name": name, "images_started": started[name], "calls_refused": refused[name],
             "paused_until": ago(-step) if paused and name.startswith("second") else None,
             "suspended": "401" if name.startswith("third") else ""}
            for name in started
        ]  # fmt: skip
        for pool in pools:
            if pool["paused_until"]:
                pool["paused_until"] = (NOW + timedelta(seconds=60)).isoformat()
        history.note({"at": (NOW - timedelta(seconds=600 - step)).isoformat(), "pools": pools})
    return started


def _picture() -> bytes:
    """Something that looks like a sky."""
    written = io.BytesIO()
    sky = ImageOps.colorize(Image.linear_gradient("L"), "#1b2a4a", "#ffb36b", mid="#a86a8f")
    sky.save(written, "PNG")
    return written.getvalue()
