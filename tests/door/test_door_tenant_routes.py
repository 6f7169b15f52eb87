"""Every route of the door, asked by one tenant about another's: nothing is shown, nothing is changed.

The routes are the application's own. A new one without a case here fails.
"""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from door_stack import Stack, ended, make_key
from PIL import Image

from imagequeue.producer.door.app import api_routes

pytestmark = pytest.mark.xdist_group("door")

LATER = "2999-01-01T00:00:00Z"
JOB = {"prompt": "a lighthouse", "model": "dall-e-3", "not_before": LATER}
FORBIDDEN = 403


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A tenant with a job that waits, one that has images, an uploaded image; all marked with words of its own."""

    client: httpx.Client
    tenant: str
    mark: str
    waiting: str
    done: str
    made: str
    uploaded: str


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request of the other tenant's; `fine` are the statuses that it may get without being shown anything."""

    path: str
    fine: tuple[int, ...] = (FORBIDDEN,)
    sent: dict[str, Any] = field(default_factory=dict)


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
    tenant, mark = f"v{uuid4().hex}", f"m{uuid4().hex}"
    with client_of(stack, tenant, ("submit", "read")) as client:
        marked = {"prompt": f"a lighthouse {mark}", "model": "dall-e-3", "tags": {"mark": mark}, "intent": mark}
        done = ended(client, client.post("/v1/jobs", json=marked).json()["id"])
        waiting = client.post("/v1/jobs", json=marked | {"not_before": LATER}).json()["id"]
        uploaded = client.post("/v1/images", content=png()).json()["images"][0]["sha256"]
        yield Victim(
            client=client,
            tenant=tenant,
            mark=mark,
            waiting=waiting,
            done=done["id"],
            made=done["images"][0]["sha256"],
            uploaded=uploaded,
        )


@pytest.fixture(scope="module")
def thief(stack: Stack) -> Iterator[httpx.Client]:
    """Yield the client of another tenant whose key may do everything that a key bound to a tenant can."""
    with client_of(stack, f"t{uuid4().hex}", ("submit", "read", "admin")) as client:
        yield client


def client_of(stack: Stack, tenant: str, scopes: tuple[str, ...]) -> httpx.Client:
    """Return a client with a key of its own that is bound to a tenant."""
    token = make_key(stack.data_dir, "tenants", scopes=scopes, tenant=tenant)
    return httpx.Client(base_url=stack.url, timeout=30, headers={"Authorization": f"Bearer {token}"})


def png() -> bytes:
    """Return an image that nobody else has."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), tuple(uuid4().bytes[:3])).save(file, "PNG", comment=uuid4().hex)
    return file.getvalue()


def state_of(victim: Victim) -> tuple[list[Any], list[str], Any]:
    """Return all that the victim sees of its own."""
    own = [victim.client.get(f"/v1/jobs/{one}").json() for one in (victim.waiting, victim.done)]
    listed = sorted(job["id"] for job in victim.client.get("/v1/jobs", params={"limit": 1000}).json()["jobs"])
    summary = victim.client.get("/v1/ledger/summary", params={"group_by": "tenant,intent"}).json()
    return own, listed, summary


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
        shown = answer.text + str(answer.headers)
        named = ask.path + str(ask.sent)
        for secret in (victim.tenant, victim.mark, victim.waiting, victim.done, victim.made, victim.uploaded):
            assert secret not in shown or (secret in named and answer.status_code >= 400), (ask, secret)
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
