"""Slow and greedy clients by slowhttptest, all four of its attacks at once: others are served meanwhile."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from door_stack import environment, running_door

from imagequeue.config.embedded import stop_server

TOOL = shutil.which("slowhttptest")
MISSING = "slowhttptest is needed (Debian's package of that name)"
CONNECTIONS = 150
SECONDS = 4
ANSWER_SECONDS_MAX = 20.0
LATER = "2999-01-01T00:00:00Z"

pytestmark = pytest.mark.xdist_group("door-unavailable")


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Yield a data dir whose server is stopped at the end."""
    path = tmp_path / "data"
    yield path
    stop_server(path)


def attack(*options: str) -> "subprocess.Popen[str]":
    assert TOOL is not None
    bounds = ("-c", str(CONNECTIONS), "-r", str(CONNECTIONS), "-i", "1", "-l", str(SECONDS), "-p", "10", "-v", "1")
    return subprocess.Popen([TOOL, *options, *bounds], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_tool_is_there_in_ci() -> None:
    """On a laptop without it the test skips and says so; in CI that would be a check that cannot fail."""
    assert TOOL or not os.environ.get("CI"), MISSING


@pytest.mark.skipif(not TOOL, reason=MISSING)
def test_others_are_served_while_slow_clients_hold_hundreds_of_connections(data_dir: Path) -> None:
    """Slow headers, slow bodies, many ranges of one resource, and answers that are hardly read."""
    environ = environment(data_dir, "http://127.0.0.1:9/v1", "sk-nobody")
    with running_door(environ) as url, httpx.Client(base_url=url, timeout=ANSWER_SECONDS_MAX) as client:
        attacks = [
            attack("-H", "-u", f"{url}/v1/jobs"),
            attack("-B", "-t", "POST", "-s", "100000", "-u", f"{url}/v1/jobs"),
            attack("-R", "-t", "HEAD", "-u", f"{url}/openapi.json"),
            attack("-X", "-k", "3", "-u", f"{url}/openapi.json"),
        ]
        served = 0
        while any(each.poll() is None for each in attacks):  # each ends by itself after SECONDS
            job = {"prompt": uuid4().hex, "model": "dall-e-3", "not_before": LATER}
            assert client.post("/v1/jobs", json=job).status_code == 202
            assert httpx.get(f"{url}/healthz", timeout=ANSWER_SECONDS_MAX).status_code == 200  # a new connection
            served += 1
            time.sleep(0.05)  # others that ask now and then: not a flood of its own
        told = [each.communicate()[0] for each in attacks]
        assert served > 0
        assert client.get("/readyz").status_code == 200
    for text in told:
        assert "Cannot establish" not in text, text
