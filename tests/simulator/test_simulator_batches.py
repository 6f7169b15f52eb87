"""The simulator's batches: files in, files out, half the price, and every way in which one can end."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from imagequeue.simulator.config import SimulatorConfig
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.process import RunningSimulator, running_simulator

ENDED = ("completed", "failed", "expired", "cancelled")
WAIT_SECONDS_MAX = 20.0
PRICE = 20_000_000  # half of dall-e-3's $0.04


@pytest.fixture(scope="module")
def _running() -> Iterator[RunningSimulator]:
    with running_simulator(SimulatorConfig(batch_seconds=0.05, render="fast", image_bytes=0, seed=1)) as running:
        yield running


@pytest.fixture
def simulator(_running: RunningSimulator) -> RunningSimulator:
    """Return the module's simulator, as it was at its start."""
    _running.control.reset()
    return _running


@pytest.fixture
def http(simulator: RunningSimulator) -> Iterator[httpx.Client]:
    """Yield a client with the organization's key."""
    headers = {"Authorization": "Bearer sk-sim-main"}
    with httpx.Client(base_url=simulator.base_url, headers=headers, timeout=10) as client:
        yield client


def line(name: str, **body: object) -> dict[str, object]:
    asked = {"model": "dall-e-3", "prompt": "a fox", "response_format": "b64_json", **body}
    return {"custom_id": name, "method": "POST", "url": "/v1/images/generations", "body": asked}


def upload(http: httpx.Client, *lines: dict[str, object]) -> str:
    content = b"\n".join(json.dumps(one).encode() for one in lines)
    answer = http.post("files", data={"purpose": "batch"}, files={"file": ("in.jsonl", content)})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def create(http: httpx.Client, file_id: str, **metadata: str) -> dict[str, Any]:
    fields = {"input_file_id": file_id, "endpoint": "/v1/images/generations", "completion_window": "24h"}
    answer = http.post("batches", json={**fields, "metadata": metadata})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ended(http: httpx.Client, batch_id: str) -> dict[str, Any]:
    until = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < until:
        batch: dict[str, Any] = http.get(f"batches/{batch_id}").json()
        if batch["status"] in ENDED:
            return batch
        time.sleep(0.02)
    raise AssertionError("the batch does not end")


def lines_of(http: httpx.Client, file_id: str) -> dict[str, dict[str, Any]]:
    answer = http.get(f"files/{file_id}/content")
    return {found["custom_id"]: found for found in map(json.loads, answer.text.splitlines())}


def test_a_batch_is_made_at_half_the_price_and_its_lines_come_in_any_order(
    simulator: RunningSimulator, http: httpx.Client
) -> None:
    batch = create(http, upload(http, line("a"), line("b"), line("c", size="7x7")), ref="ours")
    assert (batch["status"], batch["metadata"]) == ("validating", {"ref": "ours"})
    done = ended(http, batch["id"])
    assert done["status"] == "completed"
    assert done["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    made = lines_of(http, done["output_file_id"])
    assert list(made) == ["b", "a"]
    assert made["a"]["response"]["body"]["data"][0]["b64_json"]
    refused = lines_of(http, done["error_file_id"])
    assert refused["c"]["response"]["status_code"] == 400
    bill = simulator.control.bill()
    assert [(row["client_request_id"], row["nano_usd"], row["batch"]) for row in bill] == [
        ("a", PRICE, True),
        ("b", PRICE, True),
    ]


def test_an_expired_batch_gives_and_bills_what_was_done(simulator: RunningSimulator, http: httpx.Client) -> None:
    simulator.control.set_faults(Fault(kind="batch_expires"))
    done = ended(http, create(http, upload(http, *(line(name) for name in "abcd")))["id"])
    assert done["status"] == "expired"
    assert set(lines_of(http, done["output_file_id"])) == {"a", "b"}
    left = lines_of(http, done["error_file_id"])
    assert {name: one["error"]["code"] for name, one in left.items()} == {"c": "batch_expired", "d": "batch_expired"}
    assert simulator.control.bill_totals()["nano_usd"] == 2 * PRICE


def test_a_stalled_batch_can_be_cancelled_and_bills_nothing(simulator: RunningSimulator, http: httpx.Client) -> None:
    simulator.control.set_faults(Fault(kind="batch_stalls"))
    batch = create(http, upload(http, line("a")))
    assert http.post(f"batches/{batch['id']}/cancel").json()["status"] == "cancelling"
    done = ended(http, batch["id"])
    assert (done["status"], simulator.control.bill_totals()["nano_usd"]) == ("cancelled", 0)
    assert http.post(f"batches/{batch['id']}/cancel").status_code == 400


@pytest.mark.parametrize(
    "lines",
    [(line("a"), line("a")), (line("a"), line("b", model="gpt-image-2")), ({"custom_id": "a"},)],
    ids=["twice", "two models", "no line"],
)
def test_a_file_that_cannot_be_used_fails_the_batch(http: httpx.Client, lines: tuple[dict[str, object], ...]) -> None:
    done = ended(http, create(http, upload(http, *lines))["id"])
    assert (done["status"], done["output_file_id"]) == ("failed", None)
    assert done["errors"]["data"][0]["message"]


def test_a_lost_answer_leaves_the_file_and_the_batch_to_be_found(
    simulator: RunningSimulator, http: httpx.Client
) -> None:
    simulator.control.set_faults(Fault(kind="upload_reset", count=1), Fault(kind="create_reset", count=1))
    with pytest.raises(httpx.ReadError):
        upload(http, line("a"))
    (file,) = http.get("files", params={"purpose": "batch"}).json()["data"]
    with pytest.raises(httpx.ReadError):
        create(http, file["id"], ref="ours")
    (batch,) = http.get("batches").json()["data"]
    assert (batch["input_file_id"], batch["metadata"]) == (file["id"], {"ref": "ours"})
    assert ended(http, batch["id"])["status"] == "completed"


def test_what_is_not_there_or_another_organization_s_is_named(http: httpx.Client) -> None:
    fields = {"input_file_id": "file-none", "endpoint": "/v1/images/generations", "completion_window": "24h"}
    assert http.post("batches", json=fields).json()["error"]["message"] == "No such File object: file-none"
    assert http.post("batches", json={**fields, "completion_window": "1h"}).json()["error"]["param"] == (
        "completion_window"
    )
    assert http.get("batches/none").status_code == 404
    assert http.get("files/none/content").status_code == 404
    assert http.get("batches", headers={"Authorization": "Bearer other"}).status_code == 401
