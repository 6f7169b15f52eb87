"""`up` and `down`: parts are looked after, finish together, and nothing is left behind or ended twice."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_programs import command, environment, imagequeue

from imagequeue.config.embedded import running_url
from imagequeue.config.errors import ImageQueueError
from imagequeue.producer import supervisor as supervisor_module
from imagequeue.producer.commands.server import parts_of
from imagequeue.producer.running import registered, run_folder, stop, who_runs, write_process_id
from imagequeue.producer.supervisor import Part, Supervisor

WAIT_SECONDS_MAX = 60.0
ORG = json.dumps([{"name": "test", "api_key": "sk-canary", "base_url": "http://127.0.0.1:9/v1"}])

WORKS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
signal.pause()
"""
STUBBORN = WORKS.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")


class Written:
    """Collects what a supervisor writes, and acts on the first line that holds a word."""

    def __init__(self, word: str = "", act: Callable[[], None] | None = None) -> None:
        self.lines: list[str] = []
        self._word = word
        self._act = act

    def __call__(self, line: str) -> None:
        """Take one line."""
        self.lines.append(line)
        if self._act and self._word in line:
            act, self._act = self._act, None
            act()


def supervise(folder: Path, *scripts: str, write: Callable[[str], None], drain_seconds: float = 20.0) -> int:
    """Run one part for each script, as children of this process."""
    parts = [Part(name=f"part-{number}", arguments=(script,)) for number, script in enumerate(scripts)]

    async def work() -> int:
        supervisor = Supervisor(folder=folder, drain_seconds=drain_seconds, write=write, program=(sys.executable, "-c"))
        return await supervisor.run(parts)

    return asyncio.run(work())


def signal_ourselves() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all_parts_and_their_lines_bear_their_names(tmp_path: Path, number: signal.Signals) -> None:
    ready: list[str] = []

    def write(line: str) -> None:
        ready.append(line)
        if sum("ready" in line for line in ready) == 2 and "ready" in line:
            os.kill(os.getpid(), number)

    assert supervise(tmp_path, WORKS, WORKS, write=write) == 0
    assert {"part-0 | ready", "part-1 | ready"} <= set(ready)
    assert who_runs(tmp_path) == []


def test_a_part_that_does_not_finish_in_time_is_killed(tmp_path: Path) -> None:
    written = Written("ready", signal_ourselves)
    assert supervise(tmp_path, STUBBORN, write=written, drain_seconds=0.1) == 0
    assert any("killing part-0" in line for line in written.lines)
    assert who_runs(tmp_path) == []


def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    def write(line: str) -> None:
        lines.append(line)
        if "ready" in line or "finishing" in line:
            signal_ourselves()

    lines: list[str] = []
    assert supervise(tmp_path, STUBBORN, write=write, drain_seconds=600) == 0
    assert "told twice: killing what still runs" in lines


def test_wrong_usage_in_one_part_ends_all_with_its_code(tmp_path: Path) -> None:
    assert supervise(tmp_path, WORKS, "raise SystemExit(2)", write=Written()) == 2
    assert who_runs(tmp_path) == []


def test_a_part_that_dies_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "RESTART_SECONDS", 0.001)
    once = (
        "import os, sys, pathlib\n"
        f"mark = pathlib.Path({str(tmp_path / 'mark')!r})\n"
        "if not mark.exists(): mark.touch(); os.kill(os.getpid(), 9)\n" + WORKS
    )
    written = Written("ready", signal_ourselves)
    assert supervise(tmp_path, once, write=written) == 0
    assert any("ended with code -9; starting it again" in line for line in written.lines)


def test_a_part_that_never_starts_well_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "RESTART_SECONDS", 0.001)
    monkeypatch.setattr(supervisor_module, "RESTARTS_MAX", 2)
    written = Written()
    assert supervise(tmp_path, "raise SystemExit(5)", WORKS, write=written) == 1
    assert any("ended 3 times in a row, at last with code 5; giving up" in line for line in written.lines)
    assert who_runs(tmp_path) == []


def test_long_and_unfinished_lines_get_through(tmp_path: Path) -> None:
    written = Written()
    script = "import sys; sys.stdout.write('x' * 300_000 + chr(10) + 'end'); raise SystemExit(2)"
    assert supervise(tmp_path, script, write=written) == 2
    assert sum(line.count("x") for line in written.lines) == 300_000
    assert written.lines[-1] == "part-0 | end"


def test_who_runs_is_known_by_lock_and_not_by_number(tmp_path: Path) -> None:
    """A lock file of a dead process names a living one (us): it is neither shown nor signalled."""
    (tmp_path / "worker-1.lock").write_text(f"{os.getpid()}\n")
    assert who_runs(tmp_path) == []
    assert stop(tmp_path, drain_seconds=0) == []
    with registered(tmp_path, "worker-1") as lock:
        write_process_id(lock, 12345)
        assert [(one.name, one.process_id) for one in who_runs(tmp_path)] == [("worker-1", 12345)]
        with pytest.raises(ImageQueueError, match="worker-1 runs already"), registered(tmp_path, "worker-1"):
            pass
    assert who_runs(tmp_path) == []


def test_parts_are_those_that_are_installed() -> None:
    assert [part.name for part in parts_of({"api", "worker", "demo"}, workers=2)] == ["api", "worker-1", "worker-2"]
    assert [part.arguments for part in parts_of({"worker"}, workers=1)] == [("worker",)]
    (api,) = parts_of({"api"}, workers=1, door=("--port", "0"))
    assert api.arguments == ("api", "--port", "0")
    with pytest.raises(ImageQueueError, match="nothing to run"):
        parts_of({"demo"}, workers=1)


def start_up(data_dir: Path) -> "subprocess.Popen[str]":
    data_dir.mkdir()
    return subprocess.Popen(
        command("up", "--port", "0"),
        env=environment(data_dir, IMAGEQUEUE_ORGS=ORG),
        cwd=data_dir,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def names_running(data_dir: Path) -> list[str]:
    return [one.name for one in who_runs(run_folder(data_dir))]


@pytest.mark.kill
def test_up_runs_a_worker_until_down(data_dir: Path) -> None:
    with start_up(data_dir) as up:
        until(lambda: "worker-1" in names_running(data_dir), "no worker runs")
        again = imagequeue(data_dir, "up", "--port", "0", IMAGEQUEUE_ORGS=ORG)
        assert again.returncode == 1
        assert "up already" in again.stderr
        down = imagequeue(data_dir, "down", "--json", IMAGEQUEUE_ORGS=ORG)
        output, _ = up.communicate()
    assert json.loads(down.stdout)["ended"][:1] == ["up"]
    assert {"worker-1", "embedded server"} <= set(json.loads(down.stdout)["ended"])
    assert up.returncode == 0
    assert "canary" not in output
    assert names_running(data_dir) == []
    assert running_url(data_dir) is None
    assert "nothing runs" in imagequeue(data_dir, "down", IMAGEQUEUE_ORGS=ORG).stdout


@pytest.mark.kill
def test_down_ends_what_a_killed_up_left(data_dir: Path) -> None:
    with start_up(data_dir) as up:
        until(lambda: "worker-1" in names_running(data_dir), "no worker runs")
        up.kill()
    assert "worker-1" in names_running(data_dir)
    assert running_url(data_dir) is not None
    down = imagequeue(data_dir, "down", "--now", IMAGEQUEUE_ORGS=ORG)
    assert "worker-1" in down.stdout
    assert names_running(data_dir) == []
    assert running_url(data_dir) is None


def test_only_who_calls_the_provider_needs_its_key(tmp_path: Path) -> None:
    """An app's machine and an operator's terminal share the configuration, and do without the key that it names."""
    data_dir = tmp_path / "data"
    keyed = {"IMAGEQUEUE_ORGS": json.dumps([{"name": "main", "api_key": "env:SHOP_KEY"}])}
    for arguments in (("enqueue", "--prompt", "a cat"), ("status",), ("down",)):
        done = imagequeue(data_dir, *arguments, **keyed)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    for arguments in (("worker",), ("up",)):
        refused = imagequeue(data_dir, *arguments, **keyed)
        assert refused.returncode == 2, (arguments, refused.stderr)
        assert refused.stderr.endswith("[0].api_key: the environment variable SHOP_KEY is not set\n")
