"""A door for tests: answers the API's questions from a scene that the test sets, and remembers what it was asked."""

from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.errors import ImageQueueError
from imagequeue.config.settings import Settings
from imagequeue.dashboard.mount import routes

AT = "2026-11-22T10:00:00.000000Z"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f6173855"
    "0000000049454e44ae426082"
)


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
    broken: int = 0
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)

    def is_open(self) -> bool:
        """Return whether nobody needs a key."""
        return not self.keys

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
            Route("/v1/ledger/summary", self._answer(lambda _: self.summary)),
            Route("/v1/jobs", self._answer(lambda _: {"jobs": self.jobs, "next": self.following})),
            Route("/v1/jobs/{id}", self._answer(self._job)),
            Route("/v1/jobs/{id}/{act}", self._answer(self._act), methods=["POST"]),
            Route("/v1/images/{sha256}", self._image),
        ]
        return Starlette(routes=[*api, *routes(self)])

    def _answer(self, found: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            await self._note(request)
            if self.keys and request.headers.get("authorization", "").removeprefix("Bearer ") not in self.keys:
                return JSONResponse({"error": {"message": "this key is unknown"}}, 401)
            if self.broken:
                return JSONResponse({"error": {"message": "the queue cannot show jobs now"}}, self.broken)
            body = found(request)
            return JSONResponse(body or {"error": {"message": "there is none of this id"}}, 200 if body else 404)

        return endpoint

    async def _note(self, request: Request) -> None:
        body = (await request.body()).decode()
        self.asked.append((request.method, request.url.path, request.url.query, body))

    def _job(self, request: Request) -> dict[str, Any] | None:
        return next((job for job in self.jobs if job["id"] == request.path_params["id"]), None)

    def _act(self, request: Request) -> dict[str, Any] | None:
        job = self._job(request)
        return job and {"id": job["id"], "status": "queued", "changed": True, "note": "queued again"}

    async def _image(self, request: Request) -> Response:
        return Response(PNG, media_type="image/png", headers={"content-disposition": "inline"})


def status(word: str = "main|dall-e-3", **changes: object) -> dict[str, Any]:
    """Return a status with one of everything, `word` in every text."""
    pool = {
        "name": word, "org": word, "models": [word], "images_per_minute": 500.0, "tokens_per_minute": None,
        "source": word, "pace_images_per_minute": 450.0, "factor": 1.0, "used_share": 0.5, "paused_until": None,
        "pause_reason": "", "suspended": "", "suspended_until": None, "images_started": 10, "calls_refused": 0,
    }  # fmt: skip
    queue = {
        "name": word, "model": word, "priority": word, "queued": 1_000_000, "running": 2, "waiting": 3, "parked": 0,
        "failed": 4, "oldest_s": 12.5, "served": True,
    }  # fmt: skip
    worker = {
        "name": word, "host": word, "pid": 7, "state": word, "note": "", "in_flight": 2, "lease_until": AT,
    }  # fmt: skip
    totals = {"queued": 1_000_000, "running": 2, "waiting": 3, "parked": 0, "failed": 4}
    found = {
        "at": AT, "suspended": False, "totals": totals, "queues": [queue], "pools": [pool], "workers": [worker],
        "held_tenants": [],
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
        "saved_usd": "0.000000000", "images": 26, "kept_images": 0, "usd_per_image": "0.040000000",
        "usd_per_kept_image": None, "cache_hits": 0,
        "attempts": {"settled": 26, "voided": 1, "in_doubt": 2, "held": 1, "reconciled": 0},
    }  # fmt: skip
    names = ("day", "model", "org", "tenant", "priority", "intent")
    return {**figures, "groups": [{**dict.fromkeys(names, word), **figures} for word in words]}
