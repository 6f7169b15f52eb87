"""Every route of the door, asked by one tenant about another's: nothing is shown, nothing is changed.

The routes are the application's own. A new one without a case here fails.
"""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from door_stack import Stack, eventually
from door_tenants import LATER, Ask, Victim, a_thief, a_victim, leaked, png, state_of

from imagequeue.config.job import Job
from imagequeue.producer.door.app import api_routes
from imagequeue.queue.entries import new_job_id

pytestmark = pytest.mark.xdist_group("door")

JOB = {"prompt": "a lighthouse", "model": "dall-e-3", "not_before": LATER}


Asks = Callable[[Victim], list[Ask]]


def by_id(tail: str = "", **sent: Any) -> Asks:
    """Name both of the victim's jobs in the path."""
    return lambda victim: [Ask(path=f"/v1/jobs/{one}{tail}", sent=sent) for one in (victim.waiting, victim.done)]


def by_digest(tail: str = "") -> Asks:
    """Name both of the victim's images in the path, also as somebody who says that they have them."""
    return lambda victim: [
        Ask(path=f"/v1/images/{one}{tail}", sent={"headers": headers})
        for one in (victim.made, victim.uploaded)
        for headers in ({}, {"If-None-Match": f'"{one}"'}, {"If-None-Match": "*"})
    ]


def all_tenants(path: str, **sent: Any) -> Asks:
    """Ask for what is of all tenants."""
    return lambda victim: [Ask(path=path, sent=sent)]


def own(path: str, **sent: Any) -> Asks:
    """Ask for what is answered with the asker's own."""
    return lambda victim: [Ask(path=path, fine=(200,), sent=sent)]


def in_body(path: str, job: dict[str, Any], many: bool = False) -> Asks:  # noqa: FBT001, FBT002 - a test's word
    """Make a job for the victim, and one that starts from its images."""

    def asks(victim: Victim) -> list[Ask]:
        stolen = [f"sha256:{one}" for one in (victim.made, victim.uploaded)]
        edit = {"prompt": "x", "model": "gpt-image-2", "operation": "edit", "not_before": LATER}
        foreign = [Ask(path=path, sent={"content": json.dumps(job | {"tenant": victim.tenant})})]
        used = [Ask(path=path, fine=(400,), sent={"content": json.dumps(edit | {"images": [one]})}) for one in stolen]
        listed = [Ask(path=path, sent={"content": json.dumps([job, job | {"tenant": victim.tenant}])})] if many else []
        return [*foreign, *used, *listed]

    return asks


def image_call(path: str, body: Callable[[Victim], dict[str, Any]]) -> Asks:
    """Call the image API's own contract for the victim, and with its images."""
    return lambda victim: [
        Ask(path=path, sent={"json": body(victim), "headers": {"X-ImageQueue-Tenant": victim.tenant}}),
        *([Ask(path=path, fine=(400,), sent={"json": body(victim)})] if "images" in body(victim) else []),
    ]


def named(victim: Victim) -> dict[str, Any]:
    """Return the body of an edit that names the victim's image."""
    return {"model": "gpt-image-2", "prompt": "x", "images": [{"file_id": f"sha256:{victim.uploaded}"}]}


def varied(victim: Victim) -> dict[str, Any]:
    """Return the body of a variation that names the victim's image."""
    return {"model": "dall-e-2", "images": [{"file_id": f"sha256:{victim.uploaded}"}]}


def lists(victim: Victim) -> list[Ask]:
    """List jobs in every way that could find the victim's."""
    query = {"tenant": victim.tenant}
    ways = ({"limit": 1000}, {"q": victim.mark}, {"tag": f"mark={victim.mark}"}, {"status": "succeeded"})
    return [
        Ask(path="/v1/jobs", sent={"params": query}),
        *(Ask(path="/v1/jobs", fine=(200,), sent={"params": one}) for one in ways),
    ]


def summaries(victim: Victim) -> list[Ask]:
    """Sum up in every grouping that could tell of the victim."""
    groups = ("tenant", "intent", "tag:mark", "model,org,priority,day", "")
    return [Ask(path="/v1/ledger/summary", fine=(200,), sent={"params": {"group_by": one}}) for one in groups]


def streams(victim: Victim) -> list[Ask]:
    """Follow the victim's jobs."""
    return [Ask(path="/v1/jobs/events", sent={"params": {"id": one}}) for one in (victim.waiting, victim.done)]


def uploads(victim: Victim) -> list[Ask]:
    """Put an image among the victim's."""
    return [Ask(path="/v1/images", sent={"params": {"tenant": victim.tenant}, "content": png()})]


CASES: dict[tuple[str, str], Asks] = {
    ("POST", "/v1/jobs"): in_body("/v1/jobs", JOB, many=True),
    ("POST", "/v1/jobs/bulk"): in_body("/v1/jobs/bulk", JOB),
    ("GET", "/v1/jobs"): lists,
    ("GET", "/v1/jobs/events"): streams,
    ("GET", "/v1/jobs/{id}"): by_id(),
    ("GET", "/v1/jobs/{id}/events"): by_id("/events"),
    ("GET", "/v1/jobs/{id}/webhooks"): by_id("/webhooks"),
    ("POST", "/v1/jobs/{id}/cancel"): by_id("/cancel"),
    ("POST", "/v1/jobs/{id}/retry"): by_id("/retry"),
    ("POST", "/v1/jobs/{id}/priority"): by_id("/priority", json={"priority": "high"}),
    ("POST", "/v1/jobs/{id}/keep"): by_id("/keep"),
    ("POST", "/v1/images/generations"): image_call(
        "/v1/images/generations", lambda _: {"model": "dall-e-3", "prompt": "x"}
    ),
    ("POST", "/v1/images/edits"): image_call("/v1/images/edits", named),
    ("POST", "/v1/images/variations"): image_call("/v1/images/variations", varied),
    ("POST", "/v1/images"): uploads,
    ("GET", "/v1/images/{sha256}"): by_digest(),
    ("GET", "/v1/images/{sha256}/thumbnail"): by_digest("/thumbnail"),
    ("GET", "/v1/models"): own("/v1/models"),
    ("GET", "/v1/models/{model}"): own("/v1/models/dall-e-3"),
    ("GET", "/v1/status"): own("/v1/status"),
    ("GET", "/v1/plan"): own("/v1/plan", params={"images_per_day": "1000"}),
    ("GET", "/v1/ledger/summary"): summaries,
    ("GET", "/v1/ledger/caps"): own("/v1/ledger/caps"),
    ("GET", "/v1/ledger/calls"): all_tenants("/v1/ledger/calls"),
    ("GET", "/v1/ledger/doubts"): all_tenants("/v1/ledger/doubts"),
    ("GET", "/v1/ledger/reconciliation"): all_tenants("/v1/ledger/reconciliation"),
    ("GET", "/v1/ledger/credits"): all_tenants("/v1/ledger/credits"),
    ("GET", "/v1/webhooks"): all_tenants("/v1/webhooks"),
    ("GET", "/v1/advice"): all_tenants("/v1/advice"),
    ("GET", "/metrics"): lambda victim: [
        Ask(path="/metrics"),
        Ask(path="/metrics", sent={"params": {"tenants": "1"}}),
    ],
    ("POST", "/v1/pools/{org}/{group}/suspend"): all_tenants("/v1/pools/main/dall-e-3/suspend"),
    ("POST", "/v1/pools/{org}/{group}/resume"): all_tenants("/v1/pools/main/dall-e-3/resume"),
    ("GET", "/healthz"): own("/healthz"),
    ("GET", "/readyz"): own("/readyz"),
    ("GET", "/openapi.json"): own("/openapi.json"),
}
ROUTES = [(method, route.path) for route in api_routes() for method in sorted((route.methods or set()) - {"HEAD"})]


@pytest.fixture(scope="module")
def victim(stack: Stack) -> Iterator[Victim]:
    """Yield a tenant with things of its own."""
    with a_victim(stack) as found:
        yield found


@pytest.fixture(scope="module")
def thief(stack: Stack) -> Iterator[httpx.Client]:
    """Yield the client of another tenant."""
    with a_thief(stack) as client:
        yield client


def test_every_route_has_a_case_and_every_case_a_route() -> None:
    assert sorted(CASES) == sorted(ROUTES)


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[f"{method} {path}" for method, path in ROUTES])
def test_another_tenants_things_are_neither_shown_nor_changed(
    victim: Victim, thief: httpx.Client, method: str, path: str
) -> None:
    before = state_of(victim)
    for ask in CASES[method, path](victim):
        answer = thief.request(method, ask.path, **ask.sent)
        assert answer.status_code in ask.fine, (ask, answer.text)
        assert not leaked(victim, ask, answer), ask
    assert state_of(victim) == before


def test_what_another_spent_is_in_no_sum(thief: httpx.Client) -> None:
    whole = thief.get("/v1/ledger/summary").json()
    assert (whole["settled_usd"], whole["images"], whole["attempts"]["settled"]) == ("0.000000000", 0, 0)


def test_the_tenant_itself_sees_all_that_the_other_was_not_shown(victim: Victim) -> None:
    """Or the test above would show nothing."""
    shown, listed, summary = state_of(victim)
    assert [job["status"] for job in shown] == ["waiting", "succeeded"]
    assert listed == sorted([victim.waiting, victim.done])
    assert summary["settled_usd"] == "0.040000000"
    for digest in (victim.made, victim.uploaded):
        assert victim.client.get(f"/v1/images/{digest}").status_code == 200
        assert victim.client.get(f"/v1/images/{digest}/thumbnail").status_code == 200


def told(answer: httpx.Response, *named: str) -> tuple[int, str]:
    """Return an answer without what is different each time: the request's id, and what was asked for."""
    body = answer.text.replace(answer.headers["x-request-id"], "")
    for word in named:
        body = body.replace(word, "")
    return answer.status_code, body


def test_whether_another_tenant_has_something_is_not_told(victim: Victim, thief: httpx.Client) -> None:
    """Ids that follow from an idempotency key can be computed, and digests by whoever has the image."""
    key = uuid4().hex
    keyed = {"prompt": "x", "model": "dall-e-3", "not_before": LATER, "idempotency_key": key}
    there = victim.client.post("/v1/jobs", json=keyed).json()["id"]
    nothing = new_job_id(Job(prompt="x", tenant=victim.tenant, idempotency_key=f"not {key}"))
    for tail in ("", "/events", "/webhooks"):
        some, none = (thief.get(f"/v1/jobs/{one}{tail}") for one in (there, nothing))
        assert told(some, there) == told(none, nothing), tail
    for act in ("cancel", "retry", "keep", "priority"):
        body = {"priority": "high"} if act == "priority" else {}
        some, none = (thief.post(f"/v1/jobs/{one}/{act}", json=body) for one in (there, nothing))
        assert told(some, there) == told(none, nothing), act
    assert victim.client.post(f"/v1/jobs/{there}/cancel").json()["changed"]
    digests = (victim.made, victim.uploaded, "0" * 64)
    for tail in ("", "/thumbnail"):
        for headers in ({}, {"If-None-Match": "*"}):
            asked = [thief.get(f"/v1/images/{one}{tail}", headers=headers) for one in digests]
            assert len({told(answer) for answer in asked}) == 1, (tail, headers)
    edits = [
        {"prompt": "x", "model": "gpt-image-2", "operation": "edit", "images": [f"sha256:{one}"]} for one in digests
    ]
    assert len({told(thief.post("/v1/jobs", json=one), *digests) for one in edits}) == 1


def test_a_job_that_nobody_has_is_not_found_and_anothers_forbidden(victim: Victim, thief: httpx.Client) -> None:
    """Of ids that nobody can guess the truth is told."""
    for tail in ("", "/events", "/webhooks"):
        for nobodys in ("none", "0" * 32, str(uuid4()), new_job_id(Job(prompt="x"))):
            answer = thief.get(f"/v1/jobs/{nobodys}{tail}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), (tail, nobodys)
        answer = thief.get(f"/v1/jobs/{victim.waiting}{tail}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_of_tenant"), tail
    for act in ("cancel", "retry", "keep"):
        assert thief.post(f"/v1/jobs/none/{act}").status_code == 404
        assert thief.post(f"/v1/jobs/{victim.done}/{act}").status_code == 403


def test_the_status_counts_a_tenants_own_jobs(victim: Victim, thief: httpx.Client, stack: Stack) -> None:
    eventually(lambda: victim.client.get("/v1/status").json()["totals"]["waiting"] > 0)  # it may be a second old
    own, others = victim.client.get("/v1/status").json(), thief.get("/v1/status").json()
    assert {name: own["totals"][name] for name in ("queued", "running", "waiting", "failed")} == {
        "queued": 0, "running": 0, "waiting": 1, "failed": 0,
    }  # fmt: skip
    assert not any(others["totals"].values())
    assert all(queue["oldest_s"] is None for queue in others["queues"])
    assert (own["cache"], own["at_least"], own["workers"]) == (None, False, [])
    for pool in own["pools"]:
        assert pool["images_per_minute"] is not None
        assert [pool[name] for name in ("used_share", "images_started", "calls_refused")] == [None] * 3
    with stack.client("reader") as reader:
        everything = reader.get("/v1/status").json()
    assert everything["totals"]["waiting"] >= own["totals"]["waiting"]
    assert sum(pool["images_started"] for pool in everything["pools"]) >= 1


def test_where_a_page_ended_is_told_to_its_own_tenant_only(victim: Victim, thief: httpx.Client) -> None:
    page = victim.client.get("/v1/jobs", params={"limit": 1}).json()
    cursor = page["next"]
    plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert not any(word in plain for word in (b"dall-e-3", page["jobs"][0]["id"].encode()))
    following = victim.client.get("/v1/jobs", params={"limit": 1, "after": cursor}).json()["jobs"]
    assert {page["jobs"][0]["id"], following[0]["id"]} == {victim.waiting, victim.done}
    for who, given in ((thief, cursor), (victim.client, cursor[:-2] + "AA"), (victim.client, "é"), (victim.client, "")):
        refused = who.get("/v1/jobs", params={"after": given})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "after")
