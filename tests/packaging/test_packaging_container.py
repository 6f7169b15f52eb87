"""The container files keep their promises: pinned, unprivileged, nothing evicted, nothing published."""

import re
from importlib.metadata import requires
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own
from packaging.requirements import Requirement
from packaging_root import ROOT, part_folders

from imagequeue.config.settings import Settings

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = DOCKERFILE.split("\nFROM ")


def compose() -> dict[str, Any]:
    """Return docker-compose.yml, decoded and its merges done."""
    decoded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return decoded


SERVICES = sorted(compose()["services"])


def seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


def instruction(name: str) -> list[str]:
    """Return the arguments of an instruction in the last stage, lines joined."""
    joined = STAGES[-1].replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_the_image_runs_as_a_number_that_is_not_root() -> None:
    assert instruction("USER") == ["10001:10001"]
    assert instruction("ENTRYPOINT") == ['["imagequeue"]']
    assert instruction("STOPSIGNAL") == ["SIGTERM"]
    assert instruction("VOLUME") == ["/data"]
    assert instruction("HEALTHCHECK")
    assert "IMAGEQUEUE_DATA_DIR=/data" in instruction("ENV")[0]


def test_every_download_is_pinned_by_hash_and_none_is_in_the_last_stage() -> None:
    installs = [line for line in DOCKERFILE.replace("\\\n", " ").split("&&") if " install " in line and "pip" in line]
    assert installs
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []
    assert "pip" not in "".join(instruction("RUN"))


def test_every_part_is_copied_and_let_through_to_the_builder() -> None:
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    let_through = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == set(part_folders())
    assert copied <= let_through
    assert [name for name in let_through if not (ROOT / name).exists()] == []


def test_the_wheel_is_built_with_the_tools_of_development() -> None:
    development = (ROOT / "requirements" / "dev.txt").read_text()
    lines = (ROOT / "requirements" / "build.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    requirements = [Requirement(text) for text in requires("hatchling") or []]
    needed = {one.name for one in requirements if one.marker is None or one.marker.evaluate()}
    assert {pin.partition("==")[0] for pin in pins if "==" in pin} == {"hatchling", "editables", *needed}
    assert [pin for pin in pins if pin.removesuffix(" \\").strip() not in development] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = compose()["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")] == []
    assert "user" in service or "build" in service  # our own images say it themselves


def test_the_queue_server_evicts_nothing_and_forgets_nothing() -> None:
    command = " ".join(compose()["services"]["redis"]["command"])
    for setting in ("--maxmemory-policy noeviction", "--appendonly yes", "--requirepass"):
        assert setting in command


def test_a_worker_gets_longer_to_stop_than_it_drains() -> None:
    service = compose()["services"]["worker"]
    assert seconds(service["stop_grace_period"]) > Settings.model_fields["drain_seconds"].default
    assert service["ulimits"]["nofile"]["soft"] > Settings.model_fields["max_in_flight"].default
    assert "container_name" not in service  # so that --scale works
    assert "ports" not in service


def test_only_what_is_asked_for_starts_besides_the_queue() -> None:
    services = compose()["services"]
    assert sorted(name for name in SERVICES if "profiles" not in services[name]) == ["postgres", "redis", "worker"]


def test_every_variable_is_explained_and_no_secret_is_written_down() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    example = (ROOT / ".env.example").read_text()
    for variable in set(re.findall(r"(?<!\$)\$\{(\w+)", text)):
        assert f"\n{variable}=\n" in example
    for name in SERVICES:
        for key, value in compose()["services"][name].get("environment", {}).items():
            assert "PASSWORD" not in key or value.startswith("${")
