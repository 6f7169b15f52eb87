"""Each fault does on the wire what it says, and is billed exactly when an image was made."""

import base64
import binascii
import json
import socket
import time
import zlib
from collections import Counter
from random import Random
from typing import get_args

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.simulator.config import SimulatorConfig
from imagequeue.simulator.faults import BATCH_FAULTS, REFUSALS, SPOILINGS, Fault, FaultPlan, Kind
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import RunningSimulator, running_simulator

PRICE = 40_000_000
BODY = {"model": "dall-e-3", "prompt": "a fox", "response_format": "b64_json"}


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # repeatable chances, not secrets


def ask(running: RunningSimulator, *, timeout: float = 10.0) -> httpx.Response:
    headers = {"Authorization": f"Bearer {running.api_key}"}
    return httpx.post(f"{running.base_url}/images/generations", json=BODY, headers=headers, timeout=timeout)


def struck(running: RunningSimulator, fault: Fault, *, timeout: float = 10.0) -> httpx.Response:
    running.control.set_faults(fault)
    return ask(running, timeout=timeout)


def billed(running: RunningSimulator) -> int:
    return int(running.control.bill_totals()["nano_usd"])


def test_every_kind_is_a_refusal_a_spoiling_or_of_batches() -> None:
    assert {kind for part in get_args(Kind) for kind in get_args(part)} == REFUSALS | SPOILINGS | BATCH_FAULTS
    assert not REFUSALS & SPOILINGS


@pytest.mark.parametrize(("kind", "price"), [("reset", 0), ("billed_reset", PRICE)])
def test_a_reset_breaks_the_connection(own_simulator: RunningSimulator, kind: Kind, price: int) -> None:
    with pytest.raises(httpx.ReadError):
        struck(own_simulator, Fault(kind=kind))
    assert billed(own_simulator) == price


@pytest.mark.parametrize(("kind", "price"), [("hang", 0), ("billed_hang", PRICE)])
def test_a_hang_answers_nothing(own_simulator: RunningSimulator, kind: Kind, price: int) -> None:
    with pytest.raises(httpx.ReadTimeout):
        struck(own_simulator, Fault(kind=kind), timeout=0.15)
    assert billed(own_simulator) == price


@pytest.mark.parametrize(("kind", "status"), [("billed_server_error", 500), ("billed_gateway_timeout", 504)])
def test_an_error_after_the_image_was_made_is_billed(own_simulator: RunningSimulator, kind: Kind, status: int) -> None:
    assert struck(own_simulator, Fault(kind=kind)).status_code == status
    (row,) = own_simulator.control.bill()
    assert (row["billed"], row["reason"], row["nano_usd"]) == (True, f"image made, then {kind}", PRICE)


def test_a_drip_is_slow_and_whole(own_simulator: RunningSimulator) -> None:
    began = time.monotonic()
    answer = struck(own_simulator, Fault(kind="drip", seconds=0.3))
    assert time.monotonic() - began > 0.25
    assert base64.b64decode(answer.json()["data"][0]["b64_json"]).startswith(b"\x89PNG")
    assert billed(own_simulator) == PRICE


def test_a_truncated_answer_ends_early(own_simulator: RunningSimulator) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        struck(own_simulator, Fault(kind="truncated"))
    assert billed(own_simulator) == PRICE


@pytest.mark.parametrize("kind", ["truncated", "drip", "huge_body", "gzip_bomb"])
def test_a_caller_that_left_is_no_error_of_ours(kind: Kind, capfd: pytest.CaptureFixture[str]) -> None:
    """A killed worker leaves its calls; what is sent to nobody is billed, and nothing is written about it."""
    latency = Latency(seconds=0.15)
    fault = Fault(kind=kind, seconds=0.1, bytes=10_000_000)
    with running_simulator(SimulatorConfig(latency=latency, image_bytes=0, faults=(fault,))) as running:
        with pytest.raises(httpx.ReadTimeout):
            ask(running, timeout=0.05)
        while running.control.stats()["in_flight"] or not billed(running):
            time.sleep(0.01)
    assert capfd.readouterr().err == ""


def test_usage_may_be_impossible(own_simulator: RunningSimulator) -> None:
    answer = struck(own_simulator, Fault(kind="negative_usage")).json()
    assert answer["usage"]["total_tokens"] < 0
    assert answer["data"]
    assert billed(own_simulator) == PRICE


def test_an_answer_may_come_twice(own_simulator: RunningSimulator) -> None:
    """On the wire: a client shows the first only."""
    own_simulator.control.set_faults(Fault(kind="twice"))
    body = json.dumps(BODY).encode()
    host, port = own_simulator.url.removeprefix("http://").split(":")
    lines = ("POST /v1/images/generations HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {own_simulator.api_key}")
    head = "\r\n".join((*lines, "Content-Type: application/json", f"Content-Length: {len(body)}", "", "")).encode()
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head + body)
        while received.count(b"HTTP/1.1 200 OK") < 2:
            received += connection.recv(1 << 16)
    assert billed(own_simulator) == PRICE


@pytest.mark.parametrize("kind", ["truncated_json", "html", "empty"])
def test_an_answer_that_is_no_json(own_simulator: RunningSimulator, kind: Kind) -> None:
    answer = struck(own_simulator, Fault(kind=kind))
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert billed(own_simulator) == PRICE


def test_wrong_base64(own_simulator: RunningSimulator) -> None:
    answer = struck(own_simulator, Fault(kind="wrong_base64"))
    with pytest.raises(binascii.Error):
        base64.b64decode(answer.json()["data"][0]["b64_json"], validate=True)


def test_bytes_that_are_no_image(own_simulator: RunningSimulator) -> None:
    answer = struck(own_simulator, Fault(kind="not_an_image"))
    assert base64.b64decode(answer.json()["data"][0]["b64_json"], validate=True).startswith(b"Sorry")


def test_a_broken_image_begins_well_and_ends_early(own_simulator: RunningSimulator) -> None:
    answer = struck(own_simulator, Fault(kind="broken_image"))
    file = base64.b64decode(answer.json()["data"][0]["b64_json"], validate=True)
    assert file.startswith(b"\x89PNG")
    assert b"IEND" not in file


def test_no_images_in_a_good_answer(own_simulator: RunningSimulator) -> None:
    assert struck(own_simulator, Fault(kind="empty_data")).json()["data"] == []
    assert billed(own_simulator) == PRICE


def test_a_huge_body_has_the_bytes_asked_for(own_simulator: RunningSimulator) -> None:
    answer = struck(own_simulator, Fault(kind="huge_body", bytes=3_000_000))
    assert len(answer.content) == 3_000_000


def test_a_gzip_bomb_is_small_on_the_wire(own_simulator: RunningSimulator) -> None:
    own_simulator.control.set_faults(Fault(kind="gzip_bomb", bytes=20_000_000))
    headers = {"Authorization": f"Bearer {own_simulator.api_key}"}
    url = f"{own_simulator.base_url}/images/generations"
    with httpx.stream("POST", url, json=BODY, headers=headers) as answer:
        sent = b"".join(answer.iter_raw())
    assert len(sent) < 100_000
    assert len(zlib.decompress(sent, zlib.MAX_WBITS | 16)) == 20_000_000


def test_a_refusal_can_be_delayed_and_given_another_code(own_simulator: RunningSimulator) -> None:
    began = time.monotonic()
    answer = struck(own_simulator, Fault(kind="insufficient_quota", code="credit_balance_exhausted", seconds=0.1))
    assert time.monotonic() - began >= 0.1
    assert answer.json()["error"]["code"] == "credit_balance_exhausted"


def test_rules_strike_their_count_after_those_they_skip(own_simulator: RunningSimulator) -> None:
    own_simulator.control.set_faults(Fault(kind="server_error", skip=1, count=2))
    assert [ask(own_simulator).status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    (rule,) = own_simulator.control.faults()
    assert (rule["seen"], rule["hits"]) == (5, 2)
    assert [call["fault"] for call in own_simulator.control.calls()] == [
        None,
        "server_error",
        "server_error",
        None,
        None,
    ]


def test_a_reset_of_the_simulator_ends_its_faults(own_simulator: RunningSimulator) -> None:
    assert struck(own_simulator, Fault(kind="server_error")).status_code == 500
    own_simulator.control.reset()
    assert ask(own_simulator).status_code == 200


@pytest.mark.parametrize(
    "rules",
    [
        {"faults": [{"kind": "earthquake"}]},
        {"faults": [{"kind": "reset", "probability": 2}]},
        {"faults": [{"kind": "reset", "colour": "blue"}]},
        {"faults": {}},
        {},
        [],
    ],
)
def test_wrong_rules_are_refused_and_change_nothing(own_simulator: RunningSimulator, rules: object) -> None:
    answer = httpx.post(f"{own_simulator.url}/sim/faults", json=rules)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(("faults", "a JSON object"))
    assert own_simulator.control.faults() == []


@given(probability=st.sampled_from([0.0, 0.2, 0.5, 1.0]), seed=st.integers(0, 1000))
def test_chances_are_kept_and_repeat_with_the_seed(probability: float, seed: int) -> None:
    def run() -> list[bool]:
        plan = FaultPlan([Fault(kind="reset", probability=probability)], seeded(seed))
        return [plan.strike(org="a", model="m") is not None for _ in range(400)]

    first = run()
    assert first == run()
    assert abs(sum(first) / 400 - probability) < 0.15


@given(
    org=st.sampled_from([None, "a", "b"]),
    model=st.sampled_from([None, "m", "n"]),
    calls=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("mn")), max_size=20),
)
def test_rules_strike_their_own_organization_and_model_only(
    org: str | None, model: str | None, calls: list[tuple[str, str]]
) -> None:
    plan = FaultPlan([Fault(kind="reset", org=org, model=model)], seeded(0))
    hit = Counter(call for call in calls if plan.strike(org=call[0], model=call[1]))
    assert hit == Counter(call for call in calls if org in (None, call[0]) and model in (None, call[1]))


def test_the_first_rule_that_strikes_wins() -> None:
    plan = FaultPlan([Fault(kind="reset", count=1), Fault(kind="policy")], seeded(0))
    kinds = [fault.kind for _ in range(2) if (fault := plan.strike(org="a", model="m"))]
    assert kinds == ["reset", "policy"]
