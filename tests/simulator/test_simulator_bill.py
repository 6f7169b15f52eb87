"""The bill: exactly what was made, at the catalog's prices, whatever became of the answer, also after a kill."""

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.config.catalog import load_catalog
from imagequeue.simulator.bill import Bill, BillRow, totals
from imagequeue.simulator.config import SimulatorConfig
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import RunningSimulator, running_simulator
from imagequeue.simulator.reports import lines

WAIT_SECONDS_MAX = 10.0


def ask(running: RunningSimulator, **body: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {running.api_key}", "X-Client-Request-Id": "job-7.1"}
    asked = {"prompt": "a fox", **body}
    return httpx.post(f"{running.base_url}/images/generations", json=asked, headers=headers)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("body", "nano_usd"),
    [
        ({"model": "dall-e-3"}, 40_000_000),
        ({"model": "dall-e-3", "quality": "hd"}, 80_000_000),
        ({"model": "dall-e-3", "size": "1024x1792"}, 80_000_000),
        ({"model": "dall-e-3", "quality": "hd", "size": "1792x1024"}, 120_000_000),
        ({"model": "dall-e-2", "n": 3, "size": "256x256"}, 48_000_000),
        # a prompt of 5 characters is 2 tokens at $5 a million; one medium square image is 1,756 tokens at $30
        ({"model": "gpt-image-2", "quality": "medium"}, 2 * 5_000 + 1_756 * 30_000),
        ({"model": "gpt-image-2", "quality": "low", "n": 4}, 2 * 5_000 + 4 * 196 * 30_000),
        ({"model": "gpt-image-1", "quality": "high", "size": "1024x1536"}, 2 * 5_000 + 6_240 * 40_000),
    ],
)
def test_each_request_costs_its_published_price(
    own_simulator: RunningSimulator, body: Mapping[str, object], nano_usd: int
) -> None:
    answer = ask(own_simulator, **body)
    assert answer.status_code == 200, answer.text
    (row,) = own_simulator.control.bill()
    assert row["nano_usd"] == nano_usd
    assert (row["billed"], row["reason"], row["org"]) == (True, "image made", "main")
    assert (row["request_id"], row["client_request_id"]) == (answer.headers["x-request-id"], "job-7.1")
    assert own_simulator.control.bill_totals()["nano_usd"] == nano_usd


def test_a_caller_who_leaves_is_billed_all_the_same() -> None:
    """The image is made whether or not somebody waits for it."""
    with running_simulator(SimulatorConfig(latency=Latency(seconds=0.2), image_bytes=0)) as running:
        host, port = running.url.removeprefix("http://").split(":")
        body = json.dumps({"model": "dall-e-3", "prompt": "a fox"}).encode()
        head = f"POST /v1/images/generations HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {running.api_key}\r\n"
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            until(lambda: running.control.stats()["in_flight"] == 1)
        until(lambda: running.control.bill_totals()["billed_requests"] == 1)


def test_the_bill_in_a_file_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "bill.jsonl"
    config = SimulatorConfig(bill_path=path, image_bytes=0)
    with running_simulator(config) as running:
        ask(running, model="dall-e-3")
        running.kill()
    with path.open("ab") as file:
        file.write(b'{"request_id": "cut of')
    with running_simulator(config) as running:
        ask(running, model="dall-e-3")
        rows = running.control.bill()
    assert [row["nano_usd"] for row in rows] == [40_000_000] * 2
    assert len({row["request_id"] for row in rows}) == 2
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows


def test_a_reset_empties_bill_and_file(tmp_path: Path) -> None:
    path = tmp_path / "bill.jsonl"
    with running_simulator(SimulatorConfig(bill_path=path, image_bytes=0)) as running:
        ask(running, model="dall-e-3")
        running.control.reset()
        assert running.control.bill() == []
        assert path.read_bytes() == b""
        ask(running, model="dall-e-3")
        assert len(running.control.bill()) == len(path.read_text().splitlines()) == 1


def row(org: str, model: str, n: int, nano_usd: int, *, billed: bool) -> BillRow:
    return BillRow(
        request_id="req",
        client_request_id=None,
        org=org,
        project=f"proj_{org}",
        model=model,
        source="image.generation",
        size="1024x1024",
        quality="low",
        n=n,
        usage=None,
        nano_usd=nano_usd,
        at=0.0,
        billed=billed,
        reason="",
        status=200,
    )


ROWS = st.builds(
    row, st.sampled_from("ab"), st.sampled_from("mn"), st.integers(1, 10), st.integers(0, 10**12), billed=st.booleans()
)


@given(st.lists(ROWS, max_size=30))
def test_totals_are_the_sums_of_the_billed_rows(rows: list[BillRow]) -> None:
    bill = Bill()
    for one in rows:
        bill.add(one)
    billed = [one for one in bill.rows() if one.billed]
    found = totals(bill.rows())
    assert found["requests"] == len(rows)
    assert found["nano_usd"] == sum(one.nano_usd for one in billed)
    assert found["images"] == sum(one.n for one in billed)
    groups = found["groups"]
    assert isinstance(groups, list)
    assert sum(group["nano_usd"] for group in groups) == found["nano_usd"]


def test_the_costs_report_sums_to_the_bill(own_simulator: RunningSimulator) -> None:
    """By line item too: the parts of a token price are the whole."""
    for body in ({"model": "dall-e-3"}, {"model": "gpt-image-2", "quality": "low"}, {"model": "gpt-image-2"}):
        ask(own_simulator, **body)
    headers = {"Authorization": f"Bearer {own_simulator.admin_key}"}
    since = int(own_simulator.control.bill()[0]["at"]) - 1
    for group_by in ([], ["line_item"], ["line_item", "project_id", "api_key_id"]):
        query: dict[str, int | list[str]] = {"start_time": since, "group_by[]": group_by}
        answer = httpx.get(f"{own_simulator.base_url}/organization/costs", params=query, headers=headers).json()
        results = [result for bucket in answer["data"] for result in bucket["results"]]
        paid = sum(round(result["amount"]["value"] * 1_000_000_000) for result in results)
        assert paid == own_simulator.control.bill_totals()["nano_usd"]
    items = {result["line_item"]: result["quantity"] for result in results}
    assert items["dall-e-3, images"] == 1
    assert items["gpt-image-2, output_tokens"] == 196 + 1_756


def test_line_items_never_lose_a_nano_dollar() -> None:
    usage = {"text_input": 2, "image_input": 0, "image_output": 1_756}
    made = replace(row("a", "gpt-image-2", 1, 52_690_000, billed=True), usage=usage)
    assert sum(line.nano_usd for line in lines(made, load_catalog())) == made.nano_usd


def test_reports_come_in_pages_of_buckets(own_simulator: RunningSimulator) -> None:
    ask(own_simulator, model="dall-e-2", n=2, size="256x256")
    headers = {"Authorization": f"Bearer {own_simulator.admin_key}"}
    at = int(own_simulator.control.bill()[0]["at"])
    query: dict[str, str] = {"start_time": str(at - 600), "end_time": str(at + 60), "bucket_width": "1m", "limit": "4"}
    images, pages = 0, 0
    for _ in range(20):
        answer = httpx.get(f"{own_simulator.base_url}/organization/usage/images", params=query, headers=headers).json()
        pages += 1
        assert len(answer["data"]) <= 4
        images += sum(result["images"] for bucket in answer["data"] for result in bucket["results"])
        if not answer["has_more"]:
            break
        query["page"] = answer["next_page"]
    assert (images, pages) == (2, 3)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({}, "start_time"),
        ({"start_time": "x"}, "start_time"),
        ({"start_time": "0", "bucket_width": "1h"}, "bucket_width"),
        ({"start_time": "0", "limit": "181"}, "limit"),
        ({"start_time": "0", "group_by": "colour"}, "group_by"),
        ({"start_time": "0", "page": "nonsense"}, "page"),
    ],
)
def test_a_wrong_report_parameter_is_named(simulator: RunningSimulator, query: dict[str, str], param: str) -> None:
    headers = {"Authorization": f"Bearer {simulator.admin_key}"}
    answer = httpx.get(f"{simulator.base_url}/organization/costs", params=query, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_late_reports_hide_what_is_new() -> None:
    with running_simulator(SimulatorConfig(report_delay_seconds=3600, image_bytes=0)) as running:
        ask(running, model="dall-e-3")
        headers = {"Authorization": f"Bearer {running.admin_key}"}
        query = {"start_time": int(time.time())}
        answer = httpx.get(f"{running.base_url}/organization/costs", params=query, headers=headers)
        assert [bucket["results"] for bucket in answer.json()["data"]] == [[]]
