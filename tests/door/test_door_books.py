"""What pages read beside jobs: caps, recent calls, doubts, reconciliation, credits, webhooks, the planner, search."""

import asyncio
import base64
import json
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from door_stack import Stack, eventually, imagequeue, running_door, submit
from pydantic import SecretStr

from imagequeue.config.webhooks import Webhook
from imagequeue.ledger.bill import Bill, BilledModel
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.reconciliations import note_done
from imagequeue.ledger.reconciling import DayReport
from imagequeue.producer.door.deliveries import is_of
from imagequeue.simulator.faults import Fault

pytestmark = pytest.mark.xdist_group("door")

ALL_TENANTS = ("calls", "doubts", "reconciliation", "credits")


def ended(client: httpx.Client, **fields: object) -> dict[str, object]:
    job = client.post("/v1/jobs", json={"prompt": "a lighthouse", "model": "dall-e-3", **fields}).json()
    view: dict[str, object] = client.get(f"/v1/jobs/{job['id']}", params={"wait": 60}).json()
    return view


def test_recent_calls_tell_how_long_they_took_and_how_many_failed(client: httpx.Client) -> None:
    assert ended(client)["status"] == "succeeded"
    found = client.get("/v1/ledger/calls").json()
    assert found["calls"] == found["answered"] + found["refused"] + found["failed"]
    assert found["answered"] >= 1
    assert 0 < found["p50_s"] <= found["p95_s"] < 60


def test_state_of_the_books_has_its_shape(client: httpx.Client) -> None:
    assert client.get("/v1/ledger/caps").json() == {"caps": []}
    assert client.get("/v1/ledger/credits").json() == {"credits": []}
    assert isinstance(client.get("/v1/ledger/doubts").json()["doubts"], list)
    found = client.get("/v1/ledger/reconciliation").json()
    assert (isinstance(found["days"], list), found["automatic"]) == (True, [])
    assert client.get("/v1/webhooks").json()["endpoints"] == []


@pytest.mark.usefixtures("_no_faults")
def test_the_status_says_what_is_in_doubt_and_since_when(stack: Stack, client: httpx.Client) -> None:
    """Not to a tenant's key, since it is of all tenants."""
    stack.simulator.control.set_faults(Fault(kind="billed_reset"))
    job_id = submit(client, on_doubt="hold")
    eventually(lambda: client.get(f"/v1/jobs/{job_id}").json()["status"] == "waiting")
    stack.simulator.control.set_faults()
    eventually(lambda: client.get("/v1/status").json()["in_doubt"]["attempts"] >= 1)
    found = client.get("/v1/status").json()
    assert float(found["in_doubt"]["usd"]) >= 0.04
    assert datetime.fromisoformat(found["in_doubt"]["oldest"]) <= datetime.now(UTC)
    assert (found["reconciliation"], found["batches"]) == ([], [])
    with stack.client("red") as red:
        assert not {"in_doubt", "reconciliation", "batches"} & red.get("/v1/status").json().keys()
    said = imagequeue(stack.environ, "status")
    assert re.search(r"^in doubt: \d+ attempts? for \$\d+\.\d\d, the oldest since", said.stdout, re.MULTILINE)
    client.post(f"/v1/jobs/{job_id}/cancel")


def test_the_status_says_when_it_was_reconciled_and_what_nothing_explains(stack: Stack) -> None:
    org = json.loads(stack.environ["IMAGEQUEUE_ORGS"])[0] | {"admin_key": "sk-admin"}
    environ = stack.environ | {"IMAGEQUEUE_ORGS": json.dumps([org])}
    day = (datetime.now(UTC) - timedelta(days=20)).date().isoformat()

    async def reconcile() -> None:
        ledger = await Ledger.open(f"sqlite:///{stack.data_dir}/ledger.sqlite3")
        try:
            found = await ledger.reconcile("main", day, Bill(models={"dall-e-3": BilledModel(usd_nano=1_500_000_000)}))
            await note_done(ledger, DayReport(org="main", day=day, found=found))
        finally:
            await ledger.aclose()

    asyncio.run(reconcile())
    with running_door(environ) as url:
        headers = {"Authorization": f"Bearer {stack.tokens['reader']}"}
        (found,) = httpx.get(f"{url}/v1/status", headers=headers).json()["reconciliation"]
    assert (found["org"], found["last"]["day"], found["last"]["unexplained_usd"]) == ("main", day, "1.500000000")
    assert found["last"]["checked_at"]
    assert [one["day"] for one in found["open"]] == [day]
    said = imagequeue(environ, "status")
    assert (said.returncode, "UNEXPLAINED" in said.stdout, "1.50" in said.stdout) == (0, True, True)
    assert json.loads(imagequeue(environ, "status", "--json").stdout)["reconciliation"] == [found]


def test_a_day_that_is_not_over_is_compared_and_left_open(stack: Stack, client: httpx.Client) -> None:
    """Its growth is no correction, and the day is compared after its end all the same."""
    org = json.loads(stack.environ["IMAGEQUEUE_ORGS"])[0] | {"admin_key": "sk-admin-sim-main"}
    environ = stack.environ | {"IMAGEQUEUE_ORGS": json.dumps([org])}
    ended(client)
    today = datetime.now(UTC).date().isoformat()
    asked = ["ledger", "reconcile", "--org", "main", "--day"]
    said = imagequeue(environ, *asked, today, "--json")
    if datetime.now(UTC).date().isoformat() != today:
        pytest.skip("midnight passed meanwhile")
    report = json.loads(said.stdout)
    assert [one["billed_calls"] >= 1 for one in report["models"] if one["model"] == "dall-e-3"] == [True]
    assert "correction_usd" not in str(report["booked"])
    assert (said.returncode, f"{today} is not over in UTC" in said.stderr) == (0, True)
    assert imagequeue(environ, *asked, today, "--correct", "x").returncode == 2
    assert "day: 2999-01-01 has not begun in UTC" in imagequeue(environ, *asked, "2999-01-01").stderr
    assert today not in [day["day"] for day in client.get("/v1/ledger/reconciliation").json()["days"]]


def test_what_is_of_all_tenants_is_for_keys_of_all_tenants(stack: Stack) -> None:
    with stack.client("red") as red, stack.client("reader") as reader, stack.client("submitter") as submitter:
        for name in ALL_TENANTS:
            assert red.get(f"/v1/ledger/{name}").status_code == 403
            assert reader.get(f"/v1/ledger/{name}").status_code == 200
            assert submitter.get(f"/v1/ledger/{name}").status_code == 403
        assert red.get("/v1/ledger/caps").json() == {"caps": []}
        assert reader.get("/v1/webhooks").status_code == 403


def test_messages_about_a_job_are_its_tenants(stack: Stack) -> None:
    with stack.client("red") as red, stack.client("blue") as blue:
        job_id = ended(red, tenant="red")["id"]
        assert red.get(f"/v1/jobs/{job_id}/webhooks").json() == {"webhooks": []}
        assert blue.get(f"/v1/jobs/{job_id}/webhooks").status_code == 403
        assert red.get("/v1/jobs/none/webhooks").status_code == 404


def test_a_tenant_is_told_of_messages_to_its_own_endpoints() -> None:
    """Where else its jobs are told of, an operator's own books for one, is nothing of its."""
    secret = SecretStr("whsec_" + base64.b64encode(b"s" * 32).decode())
    shop, books = "https://shop.example.com/hooks/", "https://books.example.com/all"
    endpoints = (
        Webhook(name="shop", url=shop, secrets=(secret,), tenants=("shop",), prefix=True),
        Webhook(name="books", url=books, secrets=(secret,)),
    )
    assert is_of("shop", f"{shop}1", endpoints)
    assert not is_of("other", f"{shop}1", endpoints)
    assert not is_of("shop", books, endpoints)
    assert not is_of("shop", "https://gone.example.com/", endpoints)


def test_jobs_are_found_by_words_of_their_prompt_and_by_cause(client: httpx.Client) -> None:
    one = ended(client, prompt="An Ochre Kite over Łódź", tenant="search")["id"]
    ended(client, prompt="a boat", tenant="search")
    for words in ("ochre", "KITE over", "łódź"):
        found = client.get("/v1/jobs", params={"tenant": "search", "q": words}).json()["jobs"]
        assert [job["id"] for job in found] == [one]
    assert client.get("/v1/jobs", params={"tenant": "search", "q": "submarine"}).json()["jobs"] == []
    assert client.get("/v1/jobs", params={"tenant": "search", "error": "rate_limit"}).json()["jobs"] == []
    assert client.get("/v1/jobs", params={"q": ""}).status_code == 400


def test_the_planner_answers_as_its_command_does(client: httpx.Client) -> None:
    asked = {"images_per_day": "100000", "model": "dall-e-3", "tier": "1"}
    found = client.get("/v1/plan", params=asked).json()
    assert round(found["images_per_minute"], 1) == 69.4
    assert found["cost"]["planned"]["day_usd"] == "4000.000000000"
    assert (found["binding"]["limit"], found["lowest_tier"]) == ("monthly_cap", "5")


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({}, "images_per_day"),
        ({"images_per_day": "many"}, "images_per_day"),
        ({"images_per_day": "1", "images_per_month": "1"}, "images_per_day"),
        ({"images_per_day": "1", "tier": "11"}, "tier"),
        ({"images_per_day": "1", "model": "none"}, "model"),
        ({"images_per_day": "1", "orgs": "-1"}, "orgs"),
        ({"images_per_day": "1", "cache_hit_rate": "2"}, "cache_hit_rate"),
        ({"images": "5", "by": "soon"}, "by"),
        ({"images_per_day": "1" * 65}, "images_per_day"),
        ({"per_day": "1"}, "per_day"),
    ],
)
def test_what_the_planner_cannot_use_is_named(client: httpx.Client, asked: dict[str, str], param: str) -> None:
    answer = client.get("/v1/plan", params=asked)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert "--" not in answer.json()["error"]["message"]
