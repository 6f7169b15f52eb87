"""The command `simulate`, its configuration, and the process that tests and the demo run."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.config.errors import ConfigError
from imagequeue.simulator.client import SimulatorControl
from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig, dump_config, load_config
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import running_simulator

COMMAND = [sys.executable, "-m", "imagequeue.simulator"]
SECONDS_MAX = 20


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)


def test_the_command_says_where_it_is_and_stops_cleanly() -> None:
    command = [*COMMAND, "--port", "0", "--json", "--latency", "uniform:0,0.01", "--tier", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        headers = {"Authorization": f"Bearer {ready['orgs'][0]['api_key']}"}
        body = {"model": "dall-e-3", "prompt": "a fox"}
        answer = httpx.post(f"{ready['base_url']}/images/generations", json=body, headers=headers)
        assert answer.headers["x-ratelimit-limit-requests"] == "5000"
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0


def test_a_stop_does_not_wait_for_calls_in_flight() -> None:
    with running_simulator(SimulatorConfig(latency=Latency(seconds=60))) as running:
        headers = {"Authorization": f"Bearer {running.api_key}"}
        body = {"model": "dall-e-3", "prompt": "a fox"}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{running.base_url}/images/generations", json=body, headers=headers, timeout=0.2)
        running.process.terminate()
        assert running.process.wait(SECONDS_MAX) == 0


def test_a_simulator_ends_with_the_process_that_started_it() -> None:
    with running_simulator() as running:
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert running.process.wait(SECONDS_MAX) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--latency", "soon"], "latency"),
        (["--image-bytes", "99999999"], "image_bytes"),
        (["--render", "nice"], "render"),
        (["--tier", "9"], "tier"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_it(arguments: list[str], named: str) -> None:
    ended = subprocess.run(
        [*COMMAND, "--port", "0", *arguments], capture_output=True, text=True, check=False, timeout=SECONDS_MAX
    )
    assert ended.returncode == 2
    assert named in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_taken_port_is_one_line() -> None:
    with running_simulator() as running:
        port = running.url.rsplit(":", 1)[1]
        ended = subprocess.run(
            [*COMMAND, "--port", port], capture_output=True, text=True, check=False, timeout=SECONDS_MAX
        )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"colour": 1}', "colour"),
        ('{"image_bytes": -1}', "image_bytes"),
        ('{"orgs": []}', "orgs"),
        ('{"orgs": [{"name": "a"}, {"name": "a"}]}', "orgs"),
        ('{"orgs": [{"bucket_seconds": 0}]}', "bucket_seconds"),
        ('{"orgs": [{"limits": {"dall-e-3": {"images_per_minute": 0}}}]}', "images_per_minute"),
        ('{"faults": [{"kind": "earthquake"}]}', "kind"),
        ("{", "JSON"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_config(text)


LIMITS = st.builds(GroupLimits, images_per_minute=st.none() | st.floats(0.1, 1e6), tokens_per_minute=st.none())
CONFIGS = st.builds(
    SimulatorConfig,
    orgs=st.lists(
        st.builds(
            SimulatedOrg,
            name=st.from_regex(r"[a-z]{1,8}", fullmatch=True),
            limits=st.dictionaries(st.sampled_from(["dall-e-3", "gpt-image"]), LIMITS),
            bucket_seconds=st.floats(0.01, 60),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda org: org.name,
    ).map(tuple),
    latency=st.builds(Latency, kind=st.just("uniform"), seconds=st.floats(0, 10), high_seconds=st.floats(10, 600)),
    image_bytes=st.integers(0, 3_145_728),
    seed=st.none() | st.integers(0, 10),
    faults=st.lists(st.builds(Fault, kind=st.sampled_from(["reset", "drip"]), count=st.none()), max_size=2).map(tuple),
    bill_path=st.none() | st.just(Path("/tmp/bill.jsonl")),  # noqa: S108  # only written down, never opened
)


@given(CONFIGS)
def test_a_configuration_survives_being_written_and_read(config: SimulatorConfig) -> None:
    assert load_config(dump_config(config)) == config


def test_configured_faults_and_own_models_are_in_force_from_the_start() -> None:
    price = {"usd": {"*": {"*": "0.001"}}}
    models = {"models": {"own-model": {"limit_group": "own", "image_prices": [price]}}}
    config = SimulatorConfig(faults=(Fault(kind="overloaded", count=1),), catalog=models)  # type: ignore[arg-type]  # JSON
    with running_simulator(config) as running:
        headers = {"Authorization": f"Bearer {running.api_key}"}
        body = {"model": "own-model", "prompt": "a fox"}
        url = f"{running.base_url}/images/generations"
        assert [httpx.post(url, json=body, headers=headers).status_code for _ in range(2)] == [503, 200]
        assert running.control.bill_totals()["usd"] == "0.001000000"


def test_a_simulator_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    config = SimulatorConfig(bill_path=tmp_path / "missing" / "bill.jsonl")
    with pytest.raises(RuntimeError, match="did not become ready"), running_simulator(config):
        raise AssertionError("it must not start")


def test_the_control_knows_when_nobody_answers() -> None:
    with running_simulator() as running, SimulatorControl(running.base_url) as control:
        assert control.healthy()
        os.kill(running.pid, signal.SIGKILL)
        running.process.wait(SECONDS_MAX)
        assert not control.healthy()
