"""`doctor` finds what can lose jobs or money, says what to do, and never prints a secret."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from cli_programs import imagequeue
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.config.catalog import load_catalog
from imagequeue.config.settings import load_settings
from imagequeue.producer.checkup import finding as finding_module
from imagequeue.producer.checkup.finding import Finding, guarded, ok
from imagequeue.producer.checkup.machine import judge_files
from imagequeue.producer.checkup.orgs import check_models, judge_answer
from imagequeue.producer.checkup.pools import judge_status
from imagequeue.producer.checkup.queue_server import ServerFacts, judge
from imagequeue.producer.checkup.storage import judge_space
from imagequeue.queue.status import CacheStatus, PoolStatus, QueueStatus, Status, Totals, WorkerStatus

GOOD = ServerFacts(
    name="Valkey",
    version=(9, 1, 2),
    memory_bytes=1_000,
    memory_bytes_max=0,
    eviction="noeviction",
    append_only=True,
    append_only_ok=True,
    fsync="everysec",
    cluster=False,
    role="master",
    off_loopback=False,
    open_to_all=False,
    clock_ahead_seconds=0.01,
)


def statuses(findings: list[Finding]) -> set[str]:
    return {one.status for one in findings}


def test_a_good_server_is_all_right() -> None:
    assert statuses(judge(GOOD, "redis://server")) == {"ok"}


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"version": (6, 0, 16)}, "fail", "too old"),
        ({"eviction": "allkeys-lru", "memory_bytes_max": 1 << 30}, "fail", "noeviction"),
        ({"eviction": "volatile-lru"}, "warn", "noeviction"),
        ({"memory_bytes": 900, "memory_bytes_max": 1_000}, "warn", "raise maxmemory"),
        ({"memory_bytes": 1_000, "memory_bytes_max": 1_000}, "fail", "refuses new jobs"),
        ({"append_only": False}, "fail", "appendonly"),
        ({"append_only_ok": False}, "fail", "append-only file failed"),
        ({"fsync": "no"}, "warn", "everysec"),
        ({"cluster": True}, "fail", "cluster"),
        ({"role": "slave"}, "fail", "primary"),
        ({"off_loopback": True, "open_to_all": True}, "fail", "password"),
        ({"clock_ahead_seconds": -3.0}, "warn", "3.00 s behind"),
        ({"clock_ahead_seconds": 61.0}, "fail", "61.00 s ahead"),
    ],
)
def test_every_risk_of_a_server_is_found(changes: dict[str, object], status: str, said: str) -> None:
    wrong = [one for one in judge(replace(GOOD, **changes), "redis://server") if one.status != "ok"]  # type: ignore[arg-type]  # test data
    assert [one.status for one in wrong] == [status]
    assert said in f"{wrong[0].says} {wrong[0].do}"
    assert wrong[0].do


MOMENT = datetime(2026, 11, 22, 12, tzinfo=UTC)
POOL = PoolStatus(
    name="main|m", org="main", models=("m",), images_per_minute=5.0, tokens_per_minute=None, source="", factor=1.0,
    pace_images_per_minute=4.5, used_share=None, paused_until=None, pause_reason="", suspended="",
    suspended_until=None, images_started=0, calls_refused=0,
)  # fmt: skip
LOW = QueueStatus(
    name="m.low", model="m", priority="low", queued=7, running=0, waiting=0, parked=0, failed=0, oldest_s=1.0,
    served=True,
)  # fmt: skip
WORKER = WorkerStatus(name="w", host="h", pid=1, state="idle", note="", in_flight=0, lease_until=MOMENT)
RUNNING = Status(
    at=MOMENT, suspended=False, totals=Totals(queued=7, running=0, waiting=0, parked=0, failed=0), queues=(LOW,),
    pools=(POOL,), workers=(WORKER,), held_tenants=(),
    cache=CacheStatus(window_s=60, made=0, stored=0, joined=0, hit_rate=None),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"pools": (replace(POOL, suspended="insufficient_quota: pay"),)}, "fail", "insufficient_quota: pay"),
        ({"pools": (replace(POOL, suspended="cap", suspended_until=MOMENT),)}, "warn", "2026-11-22T12:00"),
        ({"pools": (replace(POOL, unserved="m, asked for again soon"),)}, "fail", "does not serve m, asked"),
        ({"suspended": True, "suspended_reason": "deploy"}, "warn", "deploy"),
        ({"queues": (replace(LOW, suspended="rest"),)}, "warn", "resume --queue m.low"),
        ({"workers": (replace(WORKER, note="ledger: locked"),)}, "fail", "w: ledger: locked"),
        ({"workers": ()}, "fail", "7 jobs are queued and no worker runs"),
    ],
)
def test_what_keeps_jobs_from_starting_is_found(changes: dict[str, object], status: str, said: str) -> None:
    assert statuses(judge_status(RUNNING)) == {"ok"}
    [found] = judge_status(replace(RUNNING, **changes))  # type: ignore[arg-type]  # test data
    assert found.status == status
    assert said in f"{found.says} {found.do}"
    assert found.do


@pytest.mark.parametrize(
    ("status", "body", "expected", "found"),
    [
        (200, b'{"data": [{"id": "m"}]}', ["m"], "ok"),
        (200, b'{"data": [{"id": "other"}]}', ["m"], "warn"),
        (200, b"<html>", ["m"], "warn"),
        (200, b'{"data": null}', ["m"], "warn"),
        (401, b"{}", ["m"], "fail"),
        (403, b"{}", ["m"], "warn"),
        (404, b"", ["m"], "warn"),
    ],
)
def test_the_answer_about_a_key_is_judged(status: int, body: bytes, expected: list[str], found: str) -> None:
    assert [one.status for one in judge_answer("organization x", status, body, expected)] == [found]


@given(st.binary(max_size=80), st.integers(100, 599))
def test_no_answer_breaks_the_check(body: bytes, status: int) -> None:
    assert len(judge_answer("organization x", status, body, ["m"])) == 1


def test_too_few_open_files_and_too_little_space_are_found() -> None:
    assert judge_files(1024, 1 << 20, 4000).do.startswith("ulimit -n 4128")
    assert "hard limit" in judge_files(1024, 2048, 4000).do
    assert judge_files(-1, -1, 4000).status == "ok"
    assert judge_files(4128, 4128, 4000).status == "ok"
    assert [judge_space(free).status for free in (1 << 20, 1 << 29, 1 << 31)] == ["fail", "warn", "ok"]


@pytest.mark.parametrize(
    ("today", "status"), [(date(2026, 1, 1), "ok"), (date(2026, 4, 1), "warn"), (date(2026, 5, 12), "warn")]
)
def test_an_ending_model_is_found_with_its_successor(tmp_path: Path, today: date, status: str) -> None:
    settings = load_settings({"IMAGEQUEUE_MODELS": '["dall-e-3"]'}, tmp_path)
    [found] = check_models(settings, load_catalog(), today)
    assert found.status == status
    assert ("gpt-image-2" in found.do) == (status == "warn")


def test_a_check_that_breaks_or_hangs_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding_module, "CHECK_SECONDS_MAX", 0.01)

    async def breaks() -> list[Finding]:
        raise RuntimeError("this broke")

    async def hangs() -> list[Finding]:
        await asyncio.Event().wait()
        return [ok("never", "reached")]

    assert asyncio.run(guarded("one", breaks()))[0].says == "this broke"
    assert "no answer" in asyncio.run(guarded("two", hangs()))[0].says


class Provider(BaseHTTPRequestHandler):
    """Lists one model to whoever brings the right key."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer 200 or 401."""
        self.seen.append(self.path)
        right = self.headers["Authorization"] == "Bearer sk-canary"
        body = b'{"object": "list", "data": [{"id": "gpt-image-2"}]}' if right else b"{}"
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def provider_url() -> Iterator[str]:
    """Return the base URL of a provider of our own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def orgs(provider_url: str, key: str) -> str:
    return json.dumps([{"name": "main", "api_key": key, "base_url": provider_url, "tier": "5"}])


def test_doctor_looks_at_everything_and_prints_no_secret(data_dir: Path, provider_url: str) -> None:
    more = {"IMAGEQUEUE_ORGS": orgs(provider_url, "sk-canary"), "IMAGEQUEUE_MODELS": '["gpt-image-2"]'}
    ended = imagequeue(data_dir, "doctor", "--json", **more)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert found["ok"]
    assert {"configuration", "server", "ledger", "store", "organization main", "clocks", "open files"} <= {
        one["check"] for one in found["checks"]
    }
    assert [one["status"] for one in found["checks"] if one["check"] == "organization main"] == ["ok"]
    assert "canary" not in ended.stdout + ended.stderr
    assert "redis://127.0.0.1" in ended.stdout
    assert list((data_dir / "images").rglob("*.png")) == []


def test_doctor_fails_on_a_refused_key(data_dir: Path, provider_url: str) -> None:
    ended = imagequeue(data_dir, "doctor", IMAGEQUEUE_ORGS=orgs(provider_url, "sk-wrong-canary"))
    assert ended.returncode == 1
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("fail")]
    assert "organization main" in line
    assert "the key is refused (401)" in line
    assert "canary" not in ended.stdout + ended.stderr


def test_doctor_says_what_cannot_be_reached(data_dir: Path) -> None:
    """Nothing listens on port 9: Redis fails, the provider is only a warning, since one may be offline."""
    ended = imagequeue(
        data_dir,
        "doctor",
        "--json",
        IMAGEQUEUE_REDIS_URL="redis://user:canary-word@127.0.0.1:9/0",
        IMAGEQUEUE_ORGS=orgs("http://127.0.0.1:9/v1", "sk-canary"),
        IMAGEQUEUE_STORE_URL="file:///dev/null/images",
    )
    assert ended.returncode == 1
    status = {one["check"]: one["status"] for one in json.loads(ended.stdout)["checks"]}
    assert status["server"] == "fail"
    assert status["store"] == "fail"
    assert status["organization main"] == "warn"
    assert "canary" not in ended.stdout + ended.stderr


def test_doctor_says_what_is_wrong_in_the_configuration(data_dir: Path) -> None:
    ended = imagequeue(data_dir, "doctor", IMAGEQUEUE_PACE_FRACTION="2")
    assert ended.returncode == 1
    assert "IMAGEQUEUE_PACE_FRACTION" in ended.stdout
