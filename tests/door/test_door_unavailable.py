"""What the door says when a part behind it is away, full, or told to wait; and how it stops."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from door_stack import environment, eventually, running, running_door, submit

from imagequeue.config.embedded import ensure_server, stop_server

pytestmark = pytest.mark.xdist_group("door-unavailable")

LATER = "2999-01-01T00:00:00Z"


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Yield a data dir whose server is stopped at the end."""
    path = tmp_path / "data"
    yield path
    stop_server(path)


def test_a_queue_that_is_full_or_away_is_said_so_and_nothing_accepted_is_lost(data_dir: Path) -> None:
    environ = environment(data_dir, "http://127.0.0.1:9/v1", "sk-nobody")
    with running_door(environ) as url, httpx.Client(base_url=url, timeout=30) as client:
        accepted = submit(client, not_before=LATER)
        server = redis.Redis.from_url(ensure_server(data_dir))
        server.config_set("maxmemory", 1)
        full = client.post("/v1/jobs", json={"prompt": "a cat", "model": "dall-e-3"})
        assert (full.status_code, full.json()["error"]["code"]) == (503, "unavailable")
        assert int(full.headers["retry-after"]) > 0
        assert "127.0.0.1" not in full.text
        assert client.post("/v1/jobs/bulk", json={"prompt": "a cat", "model": "dall-e-3"}).status_code == 503
        server.config_set("maxmemory", 0)
        server.close()
        submit(client, not_before=LATER)

        stop_server(data_dir)
        for path in ("/v1/jobs", f"/v1/jobs/{accepted}", "/v1/status", "/metrics", "/v1/models"):
            assert client.get(path).status_code == 503, path
        assert client.post("/v1/jobs", json={"prompt": "a cat"}).status_code == 503
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["queue"], ready.json()["ledger"]) == (503, "not reachable", "reachable")
        assert client.get("/healthz").status_code == 200

        ensure_server(data_dir)
        eventually(lambda: client.get("/readyz").status_code == 200)
        assert client.get(f"/v1/jobs/{accepted}").json()["status"] == "waiting"


def test_without_a_worker_a_call_of_the_image_api_is_not_kept_waiting(data_dir: Path) -> None:
    environ = environment(data_dir, "http://127.0.0.1:9/v1", "sk-nobody")
    with running_door(environ) as url, httpx.Client(base_url=url, timeout=30) as client:
        refused = client.post("/v1/images/generations", json={"prompt": "a cat", "model": "dall-e-3"})
        assert (refused.status_code, "nothing was queued" in refused.text) == (429, True)
        assert client.get("/v1/jobs").json()["jobs"] == []


def test_a_door_that_is_told_to_stop_ends_waits_and_then_itself(data_dir: Path) -> None:
    """Two clients wait with all the time in the world; both are answered and the door ends."""
    environ = environment(data_dir, "http://127.0.0.1:9/v1", "sk-nobody")
    with running(environ, "api", "--port", "0") as process:
        url = process.stdout.readline().decode().split()[-1]
        with httpx.Client(base_url=url, timeout=60) as client, socket.socket() as waiting:
            job_id = submit(client, not_before=LATER)
            waiting.connect(("127.0.0.1", int(url.rpartition(":")[2])))
            waiting.sendall(f"GET /v1/jobs/{job_id}?wait=300 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            with client.stream("GET", f"/v1/jobs/{job_id}/events") as events:
                pieces = events.iter_text()
                assert "event: waiting" in next(pieces)
                began = time.monotonic()
                os.kill(process.pid, signal.SIGTERM)
                assert "".join(pieces) == ""
            assert waiting.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert process.wait(30) == 0
    assert time.monotonic() - began < 30
