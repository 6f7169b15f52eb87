"""The embedded server belongs to its data dir: shared, durable, surviving its starters, stopping when idle."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from imagequeue.config import embedded, embedded_wire
from imagequeue.config.embedded import ensure_server, running_url, stop_server
from imagequeue.config.embedded_files import ServerFiles
from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.locks import is_held

WAIT_SECONDS_MAX = 60.0
STARTER = """
import sys
from pathlib import Path
from imagequeue.config.embedded import ensure_server
print(ensure_server(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def starter(data_dir: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def process_id(data_dir: Path) -> int:
    found = ServerFiles.of(data_dir).process_id()
    assert found is not None
    return found


def redis_process(url: str) -> int:
    with connect(url) as client:
        return int(client.info("server")["process_id"])


def has_ended(process_id: int) -> bool:
    """Return whether the process is gone, or only waits for its parent to notice."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def append_only_file(data_dir: Path) -> Path:
    return next((data_dir / "server" / "appendonlydir").glob("*.incr.aof"))


def kill_server(data_dir: Path) -> None:
    """Kill the server after what was written has reached its file, which may take it up to two seconds."""
    with connect(ensure_server(data_dir)) as client:
        client.execute_command("WAITAOF", 1, 0, 10_000)
    os.kill(process_id(data_dir), signal.SIGKILL)
    until(lambda: not is_held(ServerFiles.of(data_dir).server_lock), "the server is still there")


def test_nothing_runs_and_nothing_is_made_before_somebody_needs_it(data_dir: Path) -> None:
    assert running_url(data_dir) is None
    assert not stop_server(data_dir)
    assert not data_dir.exists()


def test_the_server_keeps_everything_and_lets_only_its_owner_in(data_dir: Path) -> None:
    url = ensure_server(data_dir)
    with connect(url) as client:
        settings = client.config_get("*")
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["bind"] == "127.0.0.1"
    folder = data_dir / "server"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder / "server.conf", folder / "server.password"))
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    stranger = redis.Redis(port=port, retry=Retry(NoBackoff(), 0))
    with stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_everybody_on_the_data_dir_gets_the_same_server(data_dir: Path) -> None:
    """Four processes start it in the same moment: one server, one address."""
    starters = [starter(data_dir) for _ in range(4)]
    urls = {process.stdout.readline().strip() for process in starters if process.stdout}
    for process in starters:
        process.communicate()
    assert urls == {ensure_server(data_dir)}
    assert running_url(data_dir) in urls


def test_two_data_dirs_have_two_servers(data_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        with connect(ensure_server(data_dir)) as one, connect(ensure_server(other)) as two:
            one.set("name", "one")
            assert two.get("name") is None
    finally:
        stop_server(other)


def test_a_killed_starter_leaves_the_server_running(data_dir: Path) -> None:
    with starter(data_dir) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        process.kill()
    with connect(url) as client:
        assert client.ping()
    assert running_url(data_dir) == url


def test_a_killed_server_comes_back_with_its_data_at_the_same_address(data_dir: Path) -> None:
    url = ensure_server(data_dir)
    with connect(url) as client:
        client.rpush("list", *range(100))
    kill_server(data_dir)
    assert running_url(data_dir) is None
    assert ensure_server(data_dir) == url
    with connect(url) as client:
        assert client.llen("list") == 100


def test_stop_keeps_the_data(data_dir: Path) -> None:
    with connect(ensure_server(data_dir)) as client:
        client.set("name", "value")
    assert stop_server(data_dir)
    assert running_url(data_dir) is None
    assert not stop_server(data_dir)
    with connect(ensure_server(data_dir)) as client:
        assert client.get("name") == "value"


def test_an_append_only_file_cut_in_its_last_entry_loses_that_entry_only(data_dir: Path) -> None:
    with connect(ensure_server(data_dir)) as client:
        client.set("first", "kept")
        client.set("last", "cut")
    kill_server(data_dir)
    file = append_only_file(data_dir)
    os.truncate(file, file.stat().st_size - 3)
    with connect(ensure_server(data_dir)) as client:
        assert client.get("first") == "kept"
        assert client.get("last") is None


def test_a_damaged_append_only_file_is_said_and_not_overwritten(data_dir: Path) -> None:
    with connect(ensure_server(data_dir)) as client:
        client.set("name", "value" * 100)
        client.set("other", "value")
    kill_server(data_dir)
    file = append_only_file(data_dir)
    file.write_bytes(b"damage" + file.read_bytes())
    damaged = file.read_bytes()
    with pytest.raises(QueueUnavailable, match=r"does not start: .*[Bb]ad file format.*server\.log"):
        ensure_server(data_dir)
    assert file.read_bytes() == damaged


def test_stale_files_that_name_others_harm_nobody(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port was taken by another program, which does not answer, and the process id by another process: ours."""
    monkeypatch.setattr(embedded_wire, "ANSWER_SECONDS_MAX", 0.1)
    ensure_server(data_dir)
    stop_server(data_dir)
    files = ServerFiles.of(data_dir)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        (files.folder / "server.port").write_text(str(port))
        (files.folder / "server.pid").write_text(str(os.getpid()))
        assert not stop_server(data_dir)
        url = ensure_server(data_dir)
    assert f":{port}/" not in url
    with connect(url) as client:
        assert client.ping()


def test_a_server_that_hangs_is_ended_by_stop(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS_MAX", 0.05)
    monkeypatch.setattr(embedded_wire, "ANSWER_SECONDS_MAX", 0.1)
    ensure_server(data_dir)
    os.kill(process_id(data_dir), signal.SIGSTOP)
    assert stop_server(data_dir)
    assert not is_held(ServerFiles.of(data_dir).server_lock)


def test_a_server_that_hangs_is_not_started_twice(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS_MAX", 0.05)
    monkeypatch.setattr(embedded_wire, "ANSWER_SECONDS_MAX", 0.1)
    url = ensure_server(data_dir)
    monkeypatch.setattr(embedded, "MUTE_SECONDS_MAX", 0.05)
    hanging = process_id(data_dir)
    os.kill(hanging, signal.SIGSTOP)
    with pytest.raises(QueueUnavailable, match=f"process {hanging} .*imagequeue down"):
        ensure_server(data_dir)
    os.kill(hanging, signal.SIGCONT)
    until(lambda: running_url(data_dir) == url, "it does not answer again")
    assert process_id(data_dir) == hanging


def test_it_stops_by_itself_when_nobody_is_connected(data_dir: Path) -> None:
    ensure_server(data_dir, idle_seconds=0.05, interval_seconds=0.02)
    files = ServerFiles.of(data_dir)
    until(lambda: not is_held(files.server_lock), "the idle server still runs")
    until(lambda: not is_held(files.watcher_lock), "the watcher outlives its server")


def test_it_does_not_stop_while_somebody_is_connected(data_dir: Path) -> None:
    """The watcher has looked far more often than it takes, and the server is there."""
    with connect(ensure_server(data_dir, idle_seconds=0.05, interval_seconds=0.01)) as client:
        until(lambda: looks(client) > 200, "nobody watches")
        assert client.ping()


def looks(client: redis.Redis) -> int:
    """Return how often the server was asked for its state: 0 until the first time."""
    return int(client.info("commandstats").get("cmdstat_info", {"calls": 0})["calls"])


def test_it_stops_when_its_data_dir_is_removed(data_dir: Path) -> None:
    server_id = redis_process(ensure_server(data_dir, interval_seconds=0.02))
    shutil.rmtree(data_dir)
    until(lambda: has_ended(server_id), "the server without a data dir still runs")


def test_the_next_server_is_watched_too(data_dir: Path) -> None:
    """A watcher ends with its server, at once; the next start, and any later use, brings another."""
    files = ServerFiles.of(data_dir)
    for _ in range(2):
        ensure_server(data_dir)
        until(lambda: is_held(files.watcher_lock), "nobody watches the server")
        stop_server(data_dir)
        until(lambda: not is_held(files.watcher_lock), "the watcher outlives its server")


def test_the_server_inherits_no_secret(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    ensure_server(data_dir)
    password = ServerFiles.of(data_dir).password()
    for name in ("environ", "cmdline"):
        seen = Path(f"/proc/{process_id(data_dir)}/{name}").read_text(errors="replace")
        assert "canary" not in seen
        assert password not in seen


def test_a_data_dir_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(QueueUnavailable, match="IMAGEQUEUE_DATA_DIR"):
        ensure_server(tmp_path / "file")
