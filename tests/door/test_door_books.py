"""What pages read beside jobs: caps, recent calls, doubts, reconciliation, credits, webhooks, the planner, search."""

import httpx
import pytest
from door_stack import Stack

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


def test_state_of_the_books_has_its_shape_on_a_new_installation(client: httpx.Client) -> None:
    assert client.get("/v1/ledger/caps").json() == {"caps": []}
    assert client.get("/v1/ledger/credits").json() == {"credits": []}
    assert isinstance(client.get("/v1/ledger/doubts").json()["doubts"], list)
    found = client.get("/v1/ledger/reconciliation").json()
    assert (found["days"], found["automatic"]) == ([], [])
    assert client.get("/v1/webhooks").json()["endpoints"] == []


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
