"""The log alone tells one job's life, from the request at the door to the provider's own id; no prompt, no key."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from observed_site import Site, on_site, settings_of

from imagequeue.config.logs import set_up_logs
from imagequeue.simulator.process import RunningSimulator

CANARY = "canary-of-a-prompt"


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Leave other tests their logs."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_a_jobs_life_can_be_followed_by_its_id(
    server_url: str, simulator: RunningSimulator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ids: list[str] = []

    async def story(site: Site) -> None:
        ids.append(await site.submit(prompt=CANARY, headers={"X-Request-ID": "req-of-the-app"}))
        body = [{"prompt": CANARY, "model": "dall-e-3"}, {"prompt": CANARY, "model": "dall-e-3"}]
        ids.extend(row["id"] for row in (await site.client.post("/v1/jobs", json=body)).json()["jobs"])
        await site.burst()

    set_up_logs("debug")
    on_site(settings_of(server_url, simulator, tmp_path), story)
    text = capfd.readouterr().err
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    (asked,) = [line for line in lines if line.get("request_id") == "req-of-the-app" and line["event"] == "request"]
    assert asked["job"] == ids[0]
    (queued,) = [line for line in lines if line["event"] == "jobs queued"]
    assert queued["jobs"] == ids[1:]
    bill = {str(row["client_request_id"]): row["request_id"] for row in simulator.control.bill()}
    attempts = {line["job"]: line for line in lines if line["event"] == "attempt"}
    assert attempts.keys() == set(ids)
    for job_id, line in attempts.items():
        assert line["client_request_id"] == f"{job_id}-1"
        assert line["request_id"] == bill[f"{job_id}-1"]
        assert (line["attempt"], line["org"], line["model"], line["outcome"], line["status"]) == (
            1, "main", "dall-e-3", "images", 200,
        )  # fmt: skip
    assert CANARY not in text
    assert simulator.api_key not in text


@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_a_fault_is_logged_without_the_values_it_met(
    on_a_terminal: bool,  # noqa: FBT001  # drawn
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Among them are prompts, and the headers of a call with its key; a pretty traceback would print them."""

    def call(headers: dict[str, str]) -> None:
        raise KeyError(f"unforeseen, with {len(headers)} headers")

    monkeypatch.setattr(sys.stderr, "isatty", lambda: on_a_terminal)
    set_up_logs("info")
    try:
        call({"authorization": f"Bearer {CANARY}"})
    except KeyError:
        structlog.get_logger("imagequeue.worker").exception("a job's life broke off")
    text = capsys.readouterr().err
    assert "unforeseen, with 1 headers" in text
    assert "in call" in text
    assert CANARY not in text


def test_a_log_that_nobody_reads_any_more_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when `up` was killed: its workers' lines went through it, and every job has lines."""
    reading, writing = os.pipe()
    os.close(reading)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        set_up_logs("info")
        for number in range(1_000):
            structlog.get_logger().info("attempt", number=number, of="a line with some words that fill its buffer")
        with pytest.raises(BrokenPipeError):
            print("x", file=stream, flush=True)
