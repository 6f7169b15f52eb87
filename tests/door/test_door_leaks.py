"""What the door tells of its inside, and what it writes down of its users: nothing."""

import asyncio
from typing import cast
from uuid import uuid4

import httpx
import pytest
import redis
from door_stack import Stack
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from imagequeue.config.errors import ImageQueueError
from imagequeue.producer.door import app
from imagequeue.producer.door.journal import Journal
from imagequeue.producer.door.mounts import Mounted
from imagequeue.producer.door.parts import Door
from imagequeue.producer.door.problems import problem_of
from imagequeue.producer.door.serving import route

pytestmark = pytest.mark.xdist_group("door")

SECRET = "postgresql://user:hunter2@db/ledger"


def ask(asgi: ASGIApp, path: str = "/") -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(asgi, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            return await client.get(path, headers={"x-request-id": "mine-1"})

    return asyncio.run(run())


@pytest.mark.parametrize("error", [RuntimeError(SECRET), ImageQueueError(SECRET), KeyError(SECRET)])
def test_a_fault_says_its_id_and_nothing_else(error: Exception) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    answer = ask(Journal(broken))
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"] == "mine-1"
    assert answer.json()["error"]["code"] == "unexpected"
    assert "hunter2" not in answer.text


def test_a_handler_and_a_mount_that_break_are_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the router, not the short way, leads to them."""

    async def handler(asked: object) -> None:
        raise RuntimeError(SECRET)

    async def mounted(request: Request) -> None:
        raise RuntimeError(SECRET)

    routes = [
        route("/fixed", "GET", handler, scope=None),  # type: ignore[arg-type]  # it never returns
        route("/with/{id}", "GET", handler, scope=None),  # type: ignore[arg-type]  # as above
    ]
    monkeypatch.setattr(app, "api_routes", lambda: routes)
    built = app.build_app(cast("Door", None), Mounted(routes=(Route("/mount", mounted),)))  # type: ignore[arg-type]
    for path in ("/fixed", "/with/1", "/mount"):
        answer = ask(built, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "unexpected"), path
        assert answer.json()["error"]["request_id"] == "mine-1"
        assert "hunter2" not in answer.text


@pytest.mark.parametrize("error", [redis.ConnectionError(SECRET), redis.TimeoutError(SECRET), redis.BusyLoadingError()])
def test_a_server_that_is_away_is_no_fault_of_the_doors_own(error: Exception) -> None:
    """Also where nobody between the connection and the door took the error for what it is."""
    problem = problem_of(error)
    assert problem is not None
    assert (problem.status, problem.code) == (503, "unavailable")
    assert int(problem.headers["Retry-After"]) > 0
    assert "hunter2" not in str(problem)


def test_the_log_has_neither_prompts_nor_keys_nor_what_was_asked_for(stack: Stack) -> None:
    canary = f"canary{uuid4().hex}"
    with stack.client("red") as red:
        job = {"prompt": canary, "model": "dall-e-3", "tags": {"note": canary}, "metadata": {"note": canary}}
        made = red.post("/v1/jobs", json=job).json()["id"]
        red.post("/v1/jobs/bulk", content=f'{{"prompt": "{canary}", "size": "{canary[:20]}"}}')
        red.post("/v1/images/generations", json={"prompt": canary, "model": canary})
        red.post("/v1/images/edits", data={"prompt": canary}, files={"image": (canary, canary.encode())})
        red.get("/v1/jobs", params={"tag": f"note={canary}", "tenant": canary})
        red.get(f"/v1/jobs/{canary}")
        red.get(f"/{canary} {canary}")
        red.get("/v1/jobs", headers={"Authorization": f"Bearer {canary}", "Cookie": canary, "User-Agent": canary})
        assert red.get(f"/v1/jobs/{made}", params={"wait": 20}).json()["status"] == "succeeded"
    written = logs(stack)
    assert made in written, "the log is read where it is written"
    told = [line for line in written.splitlines() if canary in line]
    assert all(f"/v1/jobs/{canary}" in line for line in told), told  # an id that was asked for is in the path
    assert not any(token in written for token in stack.tokens.values())


def logs(stack: Stack) -> str:
    folder = stack.data_dir.parent
    return "".join(path.read_text() for path in sorted(folder.glob("api-*.log")))
