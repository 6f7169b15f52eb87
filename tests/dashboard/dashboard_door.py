"""A door for tests: answers the API's questions from a scene that the test sets, and remembers what it was asked."""

from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.clock import Clock
from imagequeue.config.errors import ImageQueueError
from imagequeue.config.settings import Settings
from imagequeue.dashboard.history import History
from imagequeue.dashboard.mount import routes

AT = "2026-11-22T10:00:00.000000Z"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f6173855"
    "0000000049454e44ae426082"
)


MORE = (
    "/v1/ledger/caps", "/v1/ledger/calls", "/v1/ledger/doubts", "/v1/ledger/reconciliation", "/v1/ledger/credits",
    "/v1/webhooks", "/v1/plan", "/v1/advice",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FakeKey:
    """A key and what it may do."""

    tenant: str | None = None
    scopes: tuple[str, ...] = ("admin",)


@dataclass
class FakeDoor:
    """The door as the page sees it: a context to be mounted in, and an application with the API."""

    settings: Settings
    keys: dict[str, FakeKey] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    following: str | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    today: dict[str, Any] = field(default_factory=dict)
    picture: bytes = PNG
    more: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Answers of other paths, by path; there are none unless they are set."""
    clock: Clock | None = None
    history: History = field(default_factory=History)
    closing: bool = False
    broken: int = 0
    ledger_broken: int = 0
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)

    def is_open(self) -> bool:
        """Return whether nobody needs a key."""
        return not self.keys

    def is_closing(self) -> bool:
        """Return whether it was told to stop."""
        return self.closing

    def key_of(self, token: str, /) -> FakeKey | None:
        """Return the key that a token is."""
        return self.keys.get(token)

    def check_same_machine(self, request: Request, /) -> None:
        """Refuse foreign names."""
        if not request.headers["host"].startswith(("localhost", "127.0.0.1")):
            raise ImageQueueError("only loopback names are served")

    def app(self) -> Starlette:
        """Return the application with the page mounted."""
        api = [
            Route("/v1/status", self._answer(lambda _: self.status)),
            Route("/v1/ledger/summary", self._answer(self._summed)),
            *(Route(path, self._answer(self._more)) for path in MORE),
            Route("/v1/jobs", self._answer(self._listed)),
            Route("/v1/jobs/{id}", self._answer(self._job)),
            Route("/v1/jobs/{id}/webhooks", self._answer(lambda _: self.more.get("/v1/jobs/webhooks"))),
            Route("/v1/jobs/{id}/{act}", self._answer(self._act), methods=["POST"]),
            Route("/v1/pools/{org}/{group}/{act}", self._answer(lambda _: {"changed": True}), methods=["POST"]),
            Route("/v1/images/{sha256}", self._image),
            Route("/v1/images/{sha256}/thumbnail", self._image),
        ]
        return Starlette(routes=[*api, *routes(self, self.clock, self.history)])

    def _answer(self, found: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            await self._note(request)
            if self.keys and request.headers.get("authorization", "").removeprefix("Bearer ") not in self.keys:
                return JSONResponse({"error": {"message": "this key is unknown"}}, 401)
            if self.broken:
                return JSONResponse({"error": {"message": "the queue cannot show jobs now"}}, self.broken)
            if self.ledger_broken and request.url.path.startswith("/v1/ledger"):
                return JSONResponse({"error": {"message": "the ledger cannot be reached now"}}, self.ledger_broken)
            body = found(request)
            return JSONResponse(body or {"error": {"message": "there is none of this id"}}, 200 if body else 404)

        return endpoint

    def _summed(self, request: Request) -> dict[str, Any]:
        return self.summary if "group_by" in request.query_params else self.today or self.summary

    def _more(self, request: Request) -> dict[str, Any] | None:
        return self.more.get(request.url.path)

    def _listed(self, request: Request) -> dict[str, Any]:
        error, state = request.query_params.get("error"), request.query_params.get("status")
        jobs = [job for job in self.jobs if error is None or (job["error"] or {}).get("code") == error]
        jobs = [job for job in jobs if state is None or job["status"] == state]
        return {"jobs": jobs, "next": self.following}

    async def _note(self, request: Request) -> None:
        body = (await request.body()).decode()
        self.asked.append((request.method, request.url.path, request.url.query, body))

    def _job(self, request: Request) -> dict[str, Any] | None:
        return next((job for job in self.jobs if job["id"] == request.path_params["id"]), None)

    def _act(self, request: Request) -> dict[str, Any] | None:
        job = self._job(request)
        return job and {"id": job["id"], "status": "queued", "changed": True, "note": "queued again"}

    async def _image(self, request: Request) -> Response:
        await self._note(request)
        return Response(self.picture, media_type="image/png", headers={"content-disposition": "inline"})


def status(word: str = "main|dall-e-3", **changes: object) -> dict[str, Any]:
    """Return a status with one of everything, `word` in every text."""
    pool = {
        "name": word, "org": word, "models": [word], "images_per_minute": 500.0, "tokens_per_minute": None,
        "source": word, "pace_images_per_minute": 450.0, "factor": 1.0, "used_share": 0.5, "paused_until": None,
        "effective_images_per_minute": 1666.7, "lowered": word, "pause_reason": "",
        "suspended": "", "suspended_until": None, "images_started": 10, "calls_refused": 0,
    }  # fmt: skip
    queue = {
        "name": word, "model": word, "priority": word, "queued": 1_000_000, "running": 2, "waiting": 3, "parked": 0,
        "failed": 4, "oldest_s": 12.5, "served": True, "joined": 1, "suspended": "",
    }  # fmt: skip
    worker = {
        "name": word, "host": word, "pid": 7, "state": word, "note": "", "in_flight": 2, "lease_until": AT,
    }  # fmt: skip
    totals = {"queued": 1_000_000, "running": 2, "waiting": 3, "parked": 0, "failed": 4}
    found = {
        "at": AT, "suspended": False, "totals": totals, "queues": [queue], "pools": [pool], "workers": [worker],
        "held_tenants": [], "suspended_reason": "", "server": "",
        "cache": {"window_s": 86_400, "made": 30, "stored": 60, "joined": 10, "hit_rate": 0.7},
    }  # fmt: skip
    return {**found, **changes}


def job(job_id: str, word: str = "A lighthouse", state: str = "succeeded", **changes: object) -> dict[str, Any]:
    """Return a job view with one of everything, `word` in every text that somebody wrote."""
    attempt = {
        "n": 1, "org": word, "model": word, "state": word, "usd": "0.040000000", "status_code": 200,
        "error_code": word, "request_id": word, "sent_at": AT, "ended_at": AT,
    }  # fmt: skip
    image = {
        "url": word, "sha256": word, "bytes": 1, "width": 1024, "height": 1024, "format": word,
        "revised_prompt": word,
    }  # fmt: skip
    asked = {
        "prompt": word, "model": word, "operation": word, "size": word, "quality": word, "style": word, "n": 1,
        "priority": word, "tenant": word, "intent": word, "deadline": None, "tags": {word: word}, "overflow": [word],
    }  # fmt: skip
    cost = {"usd": "0.040000000", "model": word, "org": word, "delivery": word}
    found = {
        "id": job_id, "status": state, "waiting": {"reason": word, "until": AT, "detail": word}, "job": asked,
        "images": [image, {**image, "sha256": "a" * 64}], "cost": cost,
        "attempts": [attempt], "error": {"code": word, "message": word, "retryable": True},
        "timings": {"enqueued": AT, "started": AT, "finished": AT, "queued_s": 1.5, "call_s": 3.0},
    }  # fmt: skip
    return {**found, **changes}


def summary(*words: str) -> dict[str, Any]:
    """Return a ledger summary with a group for each word, under every name that can be grouped by."""
    figures = {
        "settled_usd": "1.040000000", "held_usd": "0.040000000", "in_doubt_usd": "0.080000000",
        "saved_usd": "0.000000000",
        "savings": dict.fromkeys(("cache", "coalesced", "batch", "overflow"), "0.100000000"),
        "intents": 10, "regenerations": 28, "regenerations_per_intent": 2.8,
        "images": 26, "kept_images": 0, "usd_per_image": "0.040000000",
        "usd_per_kept_image": None, "cache_hits": 0,
        "attempts": {"settled": 26, "voided": 1, "in_doubt": 2, "held": 1, "reconciled": 0},
    }  # fmt: skip
    names = ("day", "model", "org", "tenant", "priority", "intent")
    return {**figures, "groups": [{**dict.fromkeys(names, word), **figures} for word in words]}


def books(word: str = "main", percent: int = 97) -> dict[str, dict[str, Any]]:
    """Return answers of the paths beside status, jobs and sums, with one of everything, `word` in every text."""
    cap = {
        "kind": "org_month", "name": word, "limit_usd": "1.200000000", "used_usd": f"{1.2 * percent / 100:.9f}",
        "left_usd": "0.040000000", "used_share": percent / 100, "starts_anew": AT,
        "warnings": [{"percent": 50, "used_usd": "0.600000000", "at": AT}],
    }  # fmt: skip
    doubt = {
        "attempt_id": 7, "job_id": word, "n": 1, "org": word, "model": word, "tenant": word,
        "held_usd": "0.080000000", "held_at": AT, "sent_at": AT, "error_code": word,
    }  # fmt: skip
    day = {
        "org": word, "day": word, "checked_at": AT, "next_at": None, "failures": 0, "billed_usd": "1.000000000",
        "unexplained_usd": "0.040000000", "in_doubt": 1, "note": word,
    }  # fmt: skip
    credit = {
        "org": word, "kind": word, "source": word, "credits": 115, "credits_left": 4, "paid_usd": "15.000000000",
        "worth_left_usd": "0.521739130", "expires_at": AT,
    }  # fmt: skip
    endpoint = {
        "name": word, "url": word, "disabled": True, "disabled_why": word, "delivered": 1, "failed": 2, "given_up": 3,
        "last_error": word,
    }  # fmt: skip
    message = {
        "id": 1, "url": word, "event": word, "state": "retrying", "tries": 2, "created_at": AT, "next_try": AT,
        "delivered_at": None, "gave_up_at": None, "last_error": word,
    }  # fmt: skip
    return {
        "/v1/ledger/caps": {"caps": [cap, {**cap, "kind": "tenant_day"}]},
        "/v1/ledger/calls": {
            "window_s": 600, "calls": 40, "answered": 30, "refused": 2, "failed": 8, "error_rate": 0.21, "p50_s": 12.5,
            "p95_s": 31.0,
        },
        "/v1/ledger/doubts": {"doubts": [doubt]},
        "/v1/ledger/reconciliation": {"since": "2026-10-22", "automatic": [word], "days": [day]},
        "/v1/ledger/credits": {"credits": [credit]},
        "/v1/webhooks": {"waiting": 3, "retrying": 1, "overdue_s": 900.0, "endpoints": [endpoint]},
        "/v1/jobs/webhooks": {"webhooks": [message]},
        "/v1/plan": planned(word),
        "/v1/advice": {"findings": [advised(word)]},
    }  # fmt: skip


def advised(text: str, severity: str = "warning", *options: str) -> dict[str, Any]:
    """Return a finding of the door's advice, `text` in every text."""
    helps = [{"code": text, "text": option, "figures": {}} for option in options or (text,)]
    return {"code": text, "severity": severity, "subject": text, "text": text, "figures": {}, "options": helps}


def planned(word: str) -> dict[str, Any]:
    """Return a planner's document, `word` in every text."""
    cost = {"day_usd": "4000.000000000", "month_usd": "120000.000000000"}
    limit = {"needed": 69.4, "ceiling": 500, "share": 0.139, "verdict": "fine", "source": word}
    money = {**limit, "needed": "120000.000000000", "ceiling": "1000.000000000", "share": 120.0, "verdict": "act"}
    model = {
        "model": word, "size": word, "quality": word, "fits": False, "images_per_minute": 69.444444,
        "share_of_ceiling": 0.138889, "binding": {"limit": "monthly_cap", "share": 120.0, "verdict": "act"},
        "limits": {"images_per_minute": limit, "tokens_per_minute": {**limit, "ceiling": None}, "monthly_cap": money},
        "usd_per_image": "0.040000000", "usd_per_image_batch": None, "lowest_tier": "5", "orgs_needed": 120,
        "cost": {"planned": cost, "on_demand": cost, "batch": None},
    }  # fmt: skip
    other = {
        "kind": word, "label": word, "units": 3, "month_usd": "90.000000000", "break_even_images_per_month": 750,
        "source": word, "note": word,
    }  # fmt: skip
    goal = {"images": 500_000, "by": "2027-01-31", "days_at_ceiling": 0.7, "in_time": True, "usd": "20000.000000000"}
    return {**model, "finish": goal, "models": [model], "alternatives": [other], "advice": [word]}
