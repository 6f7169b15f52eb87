"""Every route of what is mounted beneath the door, such as the dashboard, asked by one tenant about another's things.

The routes are those of all mounts that are installed. A new one without a case here fails.
"""

import re
from collections.abc import Callable, Iterator
from typing import cast

import httpx
import pytest
from door_stack import Stack, eventually
from door_tenants import EVERYTHING, FORBIDDEN, Ask, Victim, a_victim, bearer, leaked, state_of
from starlette.routing import Route

from imagequeue.producer.door.mounts import MountContext, installed_mounts, mount_all

pytestmark = pytest.mark.xdist_group("door")

FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')
OK, FOUND = 200, 303

Asks = Callable[[Victim], list[Ask]]


def mounted_routes() -> list[tuple[str, str]]:
    """Return method and path of every route of every mount; making them needs nothing of what serves them."""
    found = mount_all(cast("MountContext", None), installed_mounts())
    assert list(found.names) == [part.name for part in installed_mounts()], "a mount needs its context to be made"
    assert all(isinstance(route, Route) for route in found.routes), "what a mount is mounted of has to be looked into"
    routes = [route for route in found.routes if isinstance(route, Route)]
    return [(method, route.path) for route in routes for method in sorted((route.methods or set()) - {"HEAD"})]


def page(path: str, *queries: dict[str, str], fine: tuple[int, ...] = (OK,), repeats: bool = False) -> Asks:
    """Look at a page, also with each of some queries, in which {tenant}, {mark} and the like are the victim's."""
    return lambda victim: [
        Ask(
            path=path,
            fine=fine,
            repeats=repeats,
            sent={"params": of(victim, one)},
        )
        for one in (queries or ({},))
    ]


def of(victim: Victim, fields: dict[str, str]) -> dict[str, str]:
    """Return fields with the victim's own words in them."""
    return {name: worded(victim, text) for name, text in fields.items()}


def worded(victim: Victim, text: str) -> str:
    """Return a text with the victim's own words in it."""
    words = ("tenant", "mark", "waiting", "done", "made", "uploaded")
    return text.format(**{word: getattr(victim, word) for word in words})


def named(path: str, *names: str, fine: tuple[int, ...] = (FORBIDDEN,)) -> Asks:
    """Name the victim's jobs or images in the path."""
    return lambda victim: [Ask(path=worded(victim, path.format("{" + name + "}")), fine=fine) for name in names]


def form(path: str, *fields: dict[str, str], fine: tuple[int, ...], repeats: bool = False) -> Asks:
    """Send forms; the token of the page is put in where they are sent."""
    return lambda victim: [Ask(path=path, fine=fine, repeats=repeats, sent={"data": of(victim, one)}) for one in fields]


JOBS, IMAGES = ("waiting", "done"), ("made", "uploaded")
FILTERS = ({"q": "{mark}"}, {"tag": "mark={mark}"}, {"status": "succeeded"}, {"status": "failed"}, {})
ACTS = [{"act": act, "id": f"{{{job}}}"} for act in ("cancel", "retry", "keep") for job in JOBS]
FOREIGN = {"tenant": "{tenant}"}

CASES: dict[tuple[str, str], Asks] = {
    ("GET", "/dashboard"): page("/dashboard"),
    ("GET", "/dashboard/"): page("/dashboard/"),
    ("GET", "/dashboard/jobs"): lambda victim: [
        *page("/dashboard/jobs", *FILTERS, {"q": "{waiting}"}, {"q": "{done}"}, repeats=True)(victim),
        *page("/dashboard/jobs", FOREIGN, fine=(FORBIDDEN,))(victim),
    ],
    ("GET", "/dashboard/jobs/{id}"): named("/dashboard/jobs/{}", *JOBS),
    ("GET", "/dashboard/images"): lambda victim: [
        *page("/dashboard/images", *FILTERS, repeats=True)(victim),
        *page("/dashboard/images", FOREIGN, fine=(OK, FORBIDDEN), repeats=True)(victim),
    ],
    ("GET", "/dashboard/images/{sha256}"): named("/dashboard/images/{}", *IMAGES),
    ("GET", "/dashboard/images/{sha256}/thumbnail"): named("/dashboard/images/{}/thumbnail", *IMAGES),
    ("GET", "/dashboard/pools"): page("/dashboard/pools"),
    ("GET", "/dashboard/ledger"): page(
        "/dashboard/ledger",
        {},
        {"group_by": "tenant"},
        {"group_by": "intent"},
        {"group_by": "tag:mark"},
        {"span": "today"},
        FOREIGN,
        fine=(OK, 400),
        repeats=True,
    ),
    ("GET", "/dashboard/plan"): page("/dashboard/plan", {}, {"images_per_day": "1000"}),
    ("GET", "/dashboard/settings"): page("/dashboard/settings", fine=(FORBIDDEN,)),
    ("POST", "/dashboard/jobs/act"): form(
        "/dashboard/jobs/act",
        *ACTS,
        *({"act": "priority", "move_to": "high", "id": f"{{{job}}}"} for job in JOBS),
        fine=(OK,),
        repeats=True,
    ),
    ("POST", "/dashboard/jobs/retry-failed"): form(
        "/dashboard/jobs/retry-failed", {"error": "timeout"}, {"error": "timeout", **FOREIGN}, fine=(OK,)
    ),
    ("POST", "/dashboard/pools/act"): form(
        "/dashboard/pools/act",
        {"act": "suspend", "pool": "main|dall-e-3"},
        {"act": "resume", "pool": "main|dall-e-3"},
        fine=(FORBIDDEN,),
    ),
    ("GET", "/dashboard/live"): page(
        "/dashboard/live",
        {"page": "/dashboard"},
        {"page": "/dashboard/"},
        {"page": "/dashboard/pools"},
        {"page": "/dashboard/ledger?group_by=tenant"},
        {"page": "/dashboard/ledger?group_by=intent"},
        {"page": "/dashboard/jobs/{waiting}"},
        {"page": "/dashboard/jobs/{done}"},
        repeats=True,
    ),
    ("GET", "/dashboard/login"): page("/dashboard/login"),
    ("POST", "/dashboard/login"): form("/dashboard/login", {"key": "iq_{tenant}"}, fine=(401,)),
    ("GET", "/dashboard/static/style.css"): page("/dashboard/static/style.css"),
    ("GET", "/dashboard/static/live.js"): page("/dashboard/static/live.js"),
    ("GET", "/dashboard/static/icon.svg"): page("/dashboard/static/icon.svg"),
    ("POST", "/dashboard/logout"): form("/dashboard/logout", {}, fine=(FOUND,)),
}
"""In the order in which they are asked; the way out is the last."""


@pytest.fixture(scope="module")
def victim(stack: Stack) -> Iterator[Victim]:
    """Yield a tenant with things of its own."""
    with a_victim(stack) as found:
        yield found


@pytest.fixture
def browser(stack: Stack) -> Iterator[httpx.Client]:
    """Yield a browser in which another tenant has logged in, with a key that may do all that such a key can."""
    token = bearer(stack, "burglar", EVERYTHING)["Authorization"].removeprefix("Bearer ")
    with httpx.Client(base_url=stack.url, timeout=30) as client:
        sent = {"key": token, "form_token": form_token(client, "/dashboard/login")}
        assert client.post("/dashboard/login", data=sent).status_code == FOUND
        yield client


def form_token(client: httpx.Client, path: str) -> str:
    """Return what a page gives its forms to send."""
    found = FORM_TOKEN.search(client.get(path).text)
    assert found is not None
    return found[1]


def answer_to(client: httpx.Client, method: str, ask: Ask) -> httpx.Response:
    """Return the answer; of a stream its first event."""
    if method == "POST":
        data = {**ask.sent["data"], "form_token": form_token(client, "/dashboard/jobs")}
        return client.post(ask.path, data=data)
    if not ask.path.endswith("/live"):
        return client.get(ask.path, **ask.sent)
    with client.stream("GET", ask.path, **ask.sent) as stream:
        lines = stream.iter_lines()
        event = next(lines, "") + next(lines, "")
        return httpx.Response(stream.status_code, text=event, headers=stream.headers)


def test_every_mounted_route_has_a_case_and_every_case_a_route() -> None:
    assert sorted(CASES) == sorted(mounted_routes())


def test_no_mounted_route_shows_or_changes_anothers_things(victim: Victim, browser: httpx.Client) -> None:
    before = state_of(victim)
    for (method, _), asks in CASES.items():
        for ask in asks(victim):
            answer = answer_to(browser, method, ask)
            assert answer.status_code in ask.fine, (ask, answer.text[:2000])
            assert not leaked(victim, ask, answer), ask
    assert state_of(victim) == before


def test_nobody_without_a_key_gets_further_than_the_way_in(victim: Victim, stack: Stack) -> None:
    free = ("/dashboard/login", "/dashboard/logout", "/dashboard/static/")
    with httpx.Client(base_url=stack.url, timeout=30) as nobody:
        for (method, path), asks in CASES.items():
            answer = nobody.request(method, asks(victim)[0].path)
            if not path.startswith(free):
                assert answer.status_code == FOUND, path
                assert answer.headers["location"].startswith("/dashboard/login")


def test_the_overview_counts_a_tenants_own_jobs(victim: Victim, browser: httpx.Client, stack: Stack) -> None:
    """And draws no pace, which is that of all tenants together."""
    eventually(lambda: victim.client.get("/v1/status").json()["totals"]["waiting"] > 0)  # it may be a second old
    tile = re.compile(r"<strong>([^<]*)</strong><span>waiting for a time</span>")
    others = browser.get("/dashboard/").text
    assert tile.findall(others) == ["0"]
    assert "<svg" not in others
    token = victim.client.headers["authorization"].removeprefix("Bearer ")
    with httpx.Client(base_url=stack.url, timeout=30) as client:
        client.post("/dashboard/login", data={"key": token, "form_token": form_token(client, "/dashboard/login")})
        assert tile.findall(client.get("/dashboard/").text) == ["1"]
