"""A key that is bound to a tenant sees, makes and changes that tenant's things only: every route, two tenants."""

import re
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from door_stack import Stack, ended, submit

from imagequeue.producer.door.app import api_routes

pytestmark = pytest.mark.xdist_group("door")

LATER = "2999-01-01T00:00:00Z"
SIZES = {"red": "1024x1792", "blue": "1792x1024"}


@pytest.fixture(scope="module")
def red(stack: Stack) -> Iterator[httpx.Client]:
    """Yield red's client."""
    with stack.client("red") as client:
        yield client


@pytest.fixture(scope="module")
def blue(stack: Stack) -> Iterator[httpx.Client]:
    """Yield blue's client."""
    with stack.client("blue") as client:
        yield client


@pytest.fixture(scope="module")
def of_blue(blue: httpx.Client) -> dict[str, str]:
    """Return a job of blue's that waits, one that succeeded, and its image."""
    waiting = submit(blue, not_before=LATER)
    done = ended(blue, submit(blue, size=SIZES["blue"], prompt=f"blue {uuid4().hex}"))
    return {"waiting": waiting, "done": done["id"], "sha256": done["images"][0]["sha256"]}


def test_a_job_belongs_to_the_keys_tenant_without_saying_so(red: httpx.Client) -> None:
    assert red.get(f"/v1/jobs/{submit(red, not_before=LATER)}").json()["job"]["tenant"] == "red"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs/{waiting}"),
        ("GET", "/v1/jobs/{done}"),
        ("GET", "/v1/jobs/{done}?wait=1"),
        ("GET", "/v1/jobs/{waiting}/events"),
        ("GET", "/v1/jobs?tenant=blue"),
        ("POST", "/v1/jobs/{waiting}/cancel"),
        ("POST", "/v1/jobs/{done}/cancel"),
        ("POST", "/v1/jobs/{waiting}/retry"),
        ("POST", "/v1/jobs/{done}/retry"),
        ("POST", "/v1/jobs/{done}/keep"),
        ("GET", "/v1/images/{sha256}"),
        ("GET", "/metrics"),
    ],
)
def test_nothing_of_another_tenant_is_shown_or_changed(
    red: httpx.Client, blue: httpx.Client, of_blue: dict[str, str], method: str, path: str
) -> None:
    answer = red.request(method, path.format(**of_blue))
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] in ("forbidden", "not_of_tenant")
    assert blue.get(f"/v1/jobs/{of_blue['waiting']}").json()["status"] == "waiting"


def test_no_job_is_made_for_another_tenant(red: httpx.Client) -> None:
    foreign = {"prompt": "x", "tenant": "blue", "not_before": LATER}
    assert red.post("/v1/jobs", json=foreign).status_code == 403
    assert red.post("/v1/jobs", json=[foreign | {"tenant": "red"}, foreign]).status_code == 403
    bulk = red.post("/v1/jobs/bulk", json=foreign)
    assert (bulk.status_code, bulk.json()["error"]["jobs"]) == (403, 0)
    headers = {"X-ImageQueue-Tenant": "blue"}
    assert red.post("/v1/images/generations", json={"prompt": "x"}, headers=headers).status_code == 403


def test_the_same_idempotency_key_of_two_tenants_is_two_jobs(red: httpx.Client, blue: httpx.Client) -> None:
    key = uuid4().hex
    ids = {submit(client, idempotency_key=key, not_before=LATER) for client in (red, blue)}
    assert len(ids) == 2


def test_lists_images_and_costs_are_the_tenants_own(
    red: httpx.Client, blue: httpx.Client, of_blue: dict[str, str]
) -> None:
    mine = ended(red, submit(red, size=SIZES["red"], prompt=f"red {uuid4().hex}"))
    assert red.get(f"/v1/images/{mine['images'][0]['sha256']}").status_code == 200
    assert blue.get(f"/v1/images/{of_blue['sha256']}").status_code == 200
    listed = red.get("/v1/jobs", params={"limit": 1000}).json()["jobs"]
    assert {job["job"]["tenant"] for job in listed} == {"red"}
    summary = red.get("/v1/ledger/summary", params={"group_by": "tenant,model"}).json()
    assert {group["tenant"] for group in summary["groups"]} == {"red"}
    whole = red.get("/v1/ledger/summary").json()
    assert whole["groups"] == []
    assert (whole["images"], whole["settled_usd"]) == (summary["images"], summary["settled_usd"])
    assert whole["images"] == sum(group["images"] for group in summary["groups"]) >= 1
    assert red.get("/v1/status").json()["workers"] == []
    assert red.get("/v1/models").status_code == 200


def test_a_prompt_that_holds_a_digest_makes_nobody_its_owner(red: httpx.Client, of_blue: dict[str, str]) -> None:
    """The provider's revised prompt repeats the prompt, and the ledger keeps it beside the image's digest."""
    ended(red, submit(red, prompt=f'"sha256":"{of_blue["sha256"]}"'))
    assert red.get(f"/v1/images/{of_blue['sha256']}").status_code == 403


def test_every_route_wants_a_key_but_those_that_tell_nothing(stack: Stack) -> None:
    free = {"/healthz", "/readyz", "/openapi.json"}
    with httpx.Client(base_url=stack.url) as nobody:
        for route in api_routes():
            for method in (route.methods or set()) - {"HEAD"}:
                path = re.sub(r"\{\w+\}", "0" * 64, route.path)
                answer = nobody.request(method, path)
                assert answer.status_code == (200 if route.path in free else 401), route.path


def test_scopes_are_kept_apart(stack: Stack) -> None:
    with stack.client("reader") as reader, stack.client("submitter") as submitter:
        job_id = submit(submitter, not_before=LATER)
        assert submitter.get(f"/v1/jobs/{job_id}").status_code == 403
        assert reader.get(f"/v1/jobs/{job_id}").status_code == 200
        for path in ("/v1/jobs", "/v1/jobs/bulk", "/v1/images/generations", f"/v1/jobs/{job_id}/cancel"):
            assert reader.post(path, json={"prompt": "x"}).status_code == 403
        assert reader.get("/metrics").status_code == 200
        assert {each.get("/v1/models").status_code for each in (reader, submitter)} == {200}
        assert reader.get("/metrics", params={"tenants": "1"}).status_code == 403
    with stack.client("admin") as admin:
        assert admin.get("/metrics", params={"tenants": "1"}).status_code == 200


def test_a_key_with_a_rate_is_slowed_down(stack: Stack) -> None:
    with stack.client("slow") as slow:
        answers = [slow.get("/v1/models") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20


def test_a_key_with_a_budget_takes_no_more_jobs_than_it_pays_for(stack: Stack) -> None:
    """0.10 dollars are two jobs at 0.04; a job sent twice under one idempotency key is paid for once."""
    with stack.client("poor") as poor:
        key = uuid4().hex
        for _ in range(3):
            submit(poor, not_before=LATER, idempotency_key=key)
        both = poor.post("/v1/jobs", json=[{"prompt": "x", "model": "dall-e-3", "not_before": LATER}] * 2)
        assert (both.status_code, both.json()["error"]["code"]) == (429, "budget_exceeded")
        assert int(both.headers["retry-after"]) > 0
        submit(poor, not_before=LATER)
        assert poor.post("/v1/jobs", json={"prompt": "x", "model": "dall-e-3"}).status_code == 429
