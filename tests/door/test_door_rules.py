"""The door's decisions, one by one: what an end becomes, how long a line is, what a link opens, what a tenant sees."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from math import inf
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.routing import Route

from imagequeue.config.errors import ImageQueueError, JobRefused
from imagequeue.config.job import Job
from imagequeue.ledger.api import AttemptRow, JobError
from imagequeue.producer.door import mounts
from imagequeue.producer.door.announcements import Announcements
from imagequeue.producer.door.journal import shown_path
from imagequeue.producer.door.keys import new_token
from imagequeue.producer.door.links import LINK_SECONDS, is_good, signed
from imagequeue.producer.door.openai_answer import failure
from imagequeue.producer.door.openai_request import read_request
from imagequeue.producer.door.patience import wait_seconds
from imagequeue.producer.door.problems import problem_of
from imagequeue.queue.entries import Entry
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.status import HoldStatus, PoolStatus, QueueStatus, Status, WorkerStatus, totals_of
from imagequeue.queue.views import JobView, Timings

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SHA256 = "ab" * 32

POOL = PoolStatus(
    name="main|dall-e-3", org="main", models=("dall-e-3",), images_per_minute=100.0, tokens_per_minute=None, source="",
    pace_images_per_minute=60.0, factor=1.0, used_share=None, paused_until=None, pause_reason="", suspended="",
    suspended_until=None, images_started=0, calls_refused=0,
)  # fmt: skip
QUEUE = QueueStatus(
    name="dall-e-3.high", model="dall-e-3", priority="high", queued=30, running=0, waiting=0, parked=0, failed=0,
    oldest_s=None, served=True,
)  # fmt: skip
WORKER = WorkerStatus(name="w", host="h", pid=1, state="idle", note="", in_flight=0, lease_until=NOW)


def status(*pools: PoolStatus, queues: tuple[QueueStatus, ...] = (QUEUE,), **fields: Any) -> Status:
    every: dict[str, Any] = {"workers": (WORKER,), "held_tenants": (), "suspended": False} | fields
    return Status(at=NOW, totals=totals_of(queues), queues=queues, pools=pools or (POOL,), **every)


def entry(**fields: Any) -> Entry:
    job = Job(prompt="x", **({"model": "dall-e-3", "priority": "high"} | fields))
    return Entry(id="a", job=job, tokens=600)


def test_a_line_is_as_long_as_the_jobs_ahead_take_at_the_pace() -> None:
    assert wait_seconds(entry(), status(), 0.9) == 30
    assert wait_seconds(entry(n=2), status(), 0.9) == 60
    assert wait_seconds(entry(), status(POOL, replace(POOL, name="two")), 0.9) == 15
    assert wait_seconds(entry(), status(replace(POOL, paused_until=NOW + timedelta(seconds=7))), 0.9) == 37
    assert wait_seconds(entry(), status(queues=()), 0.9) == 0
    by_tokens = replace(POOL, tokens_per_minute=6000.0)
    assert wait_seconds(entry(), status(by_tokens), 0.5) == pytest.approx(30 * 60 / 5)
    low = replace(QUEUE, name="dall-e-3.low", priority="low")
    assert wait_seconds(entry(), status(queues=(low,)), 0.9) == 0
    assert wait_seconds(entry(priority="low"), status(queues=(QUEUE, low)), 0.9) == 60


def test_nobody_knows_the_wait_when_nothing_starts() -> None:
    held = HoldStatus(tenant="default", reason="budget", detail="", until=None)
    for stopped in (
        status(suspended=True),
        status(workers=()),
        status(held_tenants=(held,)),
        status(replace(POOL, suspended="key")),
    ):
        assert wait_seconds(entry(), stopped, 0.9) == inf
    over = replace(POOL, suspended="budget", suspended_until=NOW - timedelta(seconds=1))
    assert wait_seconds(entry(), status(over), 0.9) == 30


def view(state: str, code: str | None = None, status_code: int | None = None) -> JobView:
    attempts = () if status_code is None else (cast("AttemptRow", type("Row", (), {"status_code": status_code})()),)
    error = None if code is None else JobError(code=code, message="says the provider", retryable=False)
    return JobView(
        id="a", status=cast("Any", state), waiting=None, job={}, outcome=None, images=(), attempts=attempts,
        error=error, timings=Timings(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "code", "said", "answer", "kind"),
    [
        ("failed", "moderation_blocked", 400, 400, "image_generation_user_error"),
        ("failed", "content_policy_violation", 400, 400, "invalid_request_error"),
        ("failed", "model_not_found", 404, 404, "invalid_request_error"),
        ("failed", "http_422", 422, 422, "invalid_request_error"),
        ("failed", "http_409", None, 409, "invalid_request_error"),
        ("failed", "server_error", 500, 500, "server_error"),
        ("failed", "http_503", 503, 503, "server_error"),
        ("failed", "slow_down", 429, 429, "requests"),
        ("failed", "invalid_api_key", 401, 500, "server_error"),
        ("failed", "timeout", None, 500, "server_error"),
        ("failed", "http_99999", None, 500, "server_error"),
        ("failed", None, None, 500, "server_error"),
        ("expired", "expired", None, 408, "invalid_request_error"),
        ("cancelled", None, None, 409, "invalid_request_error"),
    ],
)
def test_an_end_without_images_has_the_providers_status(
    state: str, code: str | None, said: int | None, answer: int, kind: str
) -> None:
    problem = failure(view(state, code, said))
    assert (problem.status, problem.kind) == (answer, kind)
    assert problem.headers["x-should-retry"] == "false"


def test_a_link_opens_one_image_for_a_while() -> None:
    url = signed("http://door/v1/images/x", SHA256, b"secret", NOW)
    expires, signature = (part.partition("=")[2] for part in url.partition("?")[2].split("&"))
    late = NOW + timedelta(seconds=LINK_SECONDS)
    assert is_good(SHA256, expires, signature, b"secret", late - timedelta(seconds=1))
    assert not is_good(SHA256, expires, signature, b"secret", late)
    assert not is_good("cd" * 32, expires, signature, b"secret", NOW)
    assert not is_good(SHA256, expires, signature, b"another", NOW)
    assert not is_good(SHA256, str(int(expires) + 1), signature, b"secret", NOW)


@given(st.text(max_size=20), st.text(max_size=80))
def test_no_text_opens_an_image(expires: str, signature: str) -> None:
    assert not is_good(SHA256, expires, signature, b"secret", NOW)


def test_a_request_becomes_a_job() -> None:
    headers = Headers({"x-imagequeue-tag-team": "a", "x-imagequeue-priority": "low", "idempotency-key": "k"})
    wanted = read_request({"prompt": "x", "n": None, "response_format": "url", "user": "u"}, headers, "red")
    expected = Job(
        prompt="x", tenant="red", priority="low", tags={"team": "a"}, idempotency_key="k", metadata={"user": "u"}
    )
    assert (wanted.job, wanted.shape) == (expected, "url")
    bodies: tuple[object, ...] = (
        {"prompt": "x", "partial_images": True},
        {"prompt": "x", "stream": 0},
        {"prompt": "x", "n": 0},
        [],
    )
    for body in bodies:
        with pytest.raises(JobRefused):
            read_request(body, Headers(), None)


def test_headers_are_read_as_utf_8_where_they_are_that() -> None:
    """As Go, Rust, curl and most others send what is not ASCII; the framework reads bytes as Latin-1."""
    raw = [(b"x-imagequeue-tag-team", "caf\u00e9 \u732b".encode()), (b"x-imagequeue-tag-old", b"caf\xe9")]
    wanted = read_request({"prompt": "x"}, Headers(raw=[*raw, (b"idempotency-key", "k\u00e9".encode())]), None)
    assert wanted.job.tags == {"team": "caf\u00e9 \u732b", "old": "caf\u00e9"}
    assert wanted.job.idempotency_key == "k\u00e9"


def test_the_log_has_no_keys_and_no_text_from_paths() -> None:
    _, token = new_token()
    assert shown_path(f"/v1/jobs/{token}") == "/v1/jobs/iq_..."
    assert shown_path("/v1/jobs/0d9f/cancel") == "/v1/jobs/0d9f/cancel"
    for odd in ("/a prompt of mine", "/\n", "/" + "a" * 200, "/\u2028"):
        assert shown_path(odd) == "(no path of ours)"


def test_an_error_that_nobody_foresaw_is_no_problem_of_the_clients() -> None:
    assert problem_of(RuntimeError("inside")) is None
    assert problem_of(ImageQueueError("inside")) is None


def test_a_mount_that_breaks_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def good(context: mounts.MountContext) -> list[Route]:
        return [Route("/good", lambda request: None)]

    made = {"bad": lambda context: 1 / 0, "dashboard": good}
    parts = [EntryPoint(name, "nowhere", mounts.GROUP) for name in made]
    monkeypatch.setattr(EntryPoint, "load", lambda part: made[part.name])
    mounted = mounts.mount_all(cast("mounts.MountContext", None), parts)
    assert (mounted.names, [route.path for route in mounted.routes if isinstance(route, Route)]) == (
        ("dashboard",), ["/good"],
    )  # fmt: skip


class BrokenChannel:
    """A subscription that breaks when it is read."""

    async def subscribe(self, name: str) -> None:
        """Accept."""

    async def get_message(self, timeout: float) -> None:  # noqa: ASYNC109 - as the library's
        """Break."""
        raise ConnectionError("gone")


class BrokenRedis:
    """A server whose subscriptions break, counted."""

    def __init__(self) -> None:
        self.subscriptions = 0
        self.again = asyncio.Event()

    @asynccontextmanager
    async def pubsub(self, *, ignore_subscribe_messages: bool) -> AsyncIterator[BrokenChannel]:
        """Give a broken channel."""
        self.subscriptions += 1
        if self.subscriptions > 1:
            self.again.set()
        yield BrokenChannel()


def test_a_broken_subscription_wakes_everybody_and_is_made_again() -> None:
    async def run() -> None:
        redis = BrokenRedis()
        scripts = cast("Scripts", type("Fake", (), {"redis": redis, "keys": type("Keys", (), {"own": "o"})})())
        announcements = Announcements(scripts)
        with announcements.of("a") as changed:
            running = asyncio.create_task(announcements.run())
            async with asyncio.timeout(5):
                await changed.wait()
                await redis.again.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
