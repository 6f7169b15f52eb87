"""What each page shows, to whom, and that nothing it is given can break it."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from dashboard_door import AT, FakeDoor, FakeKey, books, job, status, summary
from dashboard_payloads import PAYLOADS
from dashboard_reader import Reader
from dashboard_visitor import Visitor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Visit = Callable[[FakeDoor], Visitor]
PAGES = (
    "/dashboard", "/dashboard/", "/dashboard/jobs", "/dashboard/images", "/dashboard/pools", "/dashboard/ledger",
    "/dashboard/settings", "/dashboard/plan?images_per_day=100000", "/dashboard/jobs?status=failed",
    "/dashboard/jobs/one",
)  # fmt: skip
ALLOWED_TAGS = re.compile(
    r"html|head|meta|title|link|script|body|a|header|div|nav|main|h1|h2|footer|p|section|ul|ol|li|table|caption|thead|"
    r"tbody|tr|th|td|form|input|label|select|option|button|span|strong|bdi|time|figure|figcaption|svg|line|polyline|"
    r"rect|meter|img|dl|dt|dd|code|pre|details|summary"
)


def test_forty_hostile_texts_in_every_field_stay_text_on_every_page(door: FakeDoor, visit: Visit) -> None:
    assert len(PAYLOADS) == 40
    for payload in PAYLOADS:
        door.status = status(payload, held_tenants=[{"tenant": payload, "reason": payload, "detail": payload}])
        door.status["pools"][0] |= {"suspended": payload, "pause_reason": payload}
        door.status["workers"][0]["note"] = payload
        door.jobs = [job("one", payload, "failed"), job(payload, payload)]
        door.summary, door.more = summary(payload), books(payload)
        for path in PAGES:
            answer = visit(door).get(path)
            found = Reader(answer.text)
            assert answer.status_code == 200
            assert [tag for tag in found.tags if not ALLOWED_TAGS.fullmatch(tag)] == []
            assert found.tags.count("script") == 1
            assert [name for name, _ in found.attributes if name.startswith("on") or name == "style"] == []
            links = [value or "" for name, value in found.attributes if name in ("href", "src", "action")]
            assert all(link.startswith(("/dashboard", "?", "#")) for link in links)


def test_the_overview_tells_first_what_is_wrong(door: FakeDoor, visit: Visit) -> None:
    pool = {**status()["pools"][0], "suspended": "401 invalid_api_key"}
    door.status = status(workers=[], pools=[pool])
    door.summary, door.more = summary("main"), books("main")
    page = visit(door).get("/dashboard/").text
    for said in (
        "No worker is running",
        "main|dall-e-3 is suspended: 401 invalid_api_key",
        "2 calls are in doubt, up to $0.08",
        "main has used 97\N{NO-BREAK SPACE}% of its cap this month",
        "1,000,000",
        "$1.04",
    ):
        assert said in page
    assert page.index("No worker is running") < page.index("calls are in doubt")


def test_the_overview_says_that_all_is_well(door: FakeDoor, visit: Visit) -> None:
    door.status = status()
    door.summary = {**summary(), "attempts": {"in_doubt": 0}}
    assert "All is well" in visit(door).get("/dashboard").text


def test_a_new_installation_says_what_to_do_next(door: FakeDoor, visit: Visit) -> None:
    door.status = status(queues=[], workers=[], pools=[], totals={})
    page = visit(door).get("/dashboard").text
    assert "No job was ever enqueued" in page
    assert "imagequeue worker" in page
    assert "No job is like that" in visit(door).get("/dashboard/jobs").text
    assert "No image was made yet" in visit(door).get("/dashboard/images").text


@pytest.mark.parametrize("path", PAGES[:6])
def test_a_door_that_cannot_answer_is_told_with_its_own_words_and_status(
    door: FakeDoor, visit: Visit, path: str
) -> None:
    door.broken = 503
    answer = visit(door).get(path)
    assert answer.status_code == 503
    assert "The queue cannot show jobs now" in answer.text


def test_jobs_are_asked_for_by_the_filters_and_the_cursor(door: FakeDoor, visit: Visit) -> None:
    door.following = "cursor/+="
    page = visit(door).get("/dashboard/jobs?status=failed&tenant=a%26b&model=&after=before").text
    assert ("GET", "/v1/jobs", "status=failed&tenant=a%26b&after=before&limit=50", "") in door.asked
    assert 'href="?status=failed&amp;tenant=a%26b&amp;after=cursor%2F%2B%3D"' in page


def test_a_job_shows_its_life_with_every_attempt_and_what_can_be_done(door: FakeDoor, visit: Visit) -> None:
    attempts = [
        {**job("x")["attempts"][0], "n": 1, "state": "in_doubt", "status_code": 500},
        {**job("x")["attempts"][0], "n": 2, "state": "settled", "usd": "0.080000000"},
    ]
    door.jobs = [job("one", attempts=attempts, error=None, waiting=None)]
    page = visit(door).get("/dashboard/jobs/one").text
    for said in ("Attempt 1", "in doubt", "Attempt 2", "$0.08", "Succeeded", "Keep all images", AT[:10]):
        assert said in page
    assert "Cancel" not in page


def test_a_waiting_job_says_why_and_until_when(door: FakeDoor, visit: Visit) -> None:
    waiting = {"reason": "budget", "until": "2100-01-01T00:00:00Z", "detail": "cap of tenant shop"}
    door.jobs = [job("one", state="waiting", waiting=waiting, error=None)]
    page = visit(door).get("/dashboard/jobs/one").text
    assert re.search(r"budget for about \d+ d \d+ h: cap of tenant shop", page)
    assert "Try now at priority" in page
    assert "Move to priority" in page


def test_no_secret_is_on_any_page(door: FakeDoor, visit: Visit) -> None:
    door.status, door.summary, door.jobs = status(), summary("main"), [job("one")]
    pages = "".join(visit(door).get(path).text for path in PAGES)
    for secret in ("sk-very-secret", "redis-secret", "ledger-secret"):
        assert secret not in pages
    assert "set (hidden)" in pages
    assert "pace_fraction" in pages


def test_settings_and_organizations_are_for_those_who_oversee_everything(door: FakeDoor, visit: Visit) -> None:
    door.status = status()
    door.keys = {"admin": FakeKey(), "shop": FakeKey(tenant="shop"), "reader": FakeKey(scopes=("read",))}
    for token, seen in (("admin", True), ("shop", False), ("reader", False)):
        visitor = visit(door)
        visitor.login(token)
        assert visitor.get("/dashboard/settings").status_code == (200 if seen else 403)
        assert ("pace_fraction" in visitor.get("/dashboard/settings").text) is seen
        assert ("http://127.0.0.1:9/v1" in visitor.get("/dashboard/pools").text) is seen


def test_an_image_is_sent_so_that_nothing_in_it_can_run(door: FakeDoor, visit: Visit) -> None:
    answer = visit(door).get("/dashboard/images/" + "a" * 64)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_viewers_of_one_second_share_one_reading(door: FakeDoor, visit: Visit) -> None:
    door.status, door.summary = status(), summary("main")
    visitor = visit(door)
    for _ in range(5):
        visitor.get("/dashboard")
    assert len([path for _, path, _, _ in door.asked if path == "/v1/status"]) == 1
    assert len([path for _, path, _, _ in door.asked if path == "/v1/ledger/summary"]) == 2


@pytest.mark.parametrize("path", [*PAGES, "/dashboard/login", "/dashboard/static/live.js", "/dashboard/jobs/none"])
def test_every_answer_carries_the_policy_that_lets_nothing_foreign_in(door: FakeDoor, visit: Visit, path: str) -> None:
    door.status, door.jobs = status(), [job("one")]
    headers = visit(door).get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def spoilt(found: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return the object with one of its values replaced by anything that JSON can hold."""
    return st.tuples(st.sampled_from(sorted(found)), JSON).map(lambda change: {**found, change[0]: change[1]})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    states=spoilt(status()),
    pool=spoilt(status()["pools"][0]),
    queue=spoilt(status()["queues"][0]),
    one=spoilt(job("one")),
    asked=JSON,
    money=spoilt(summary("main")),
    which=st.sampled_from(sorted(books())),
    data=st.data(),
)
def test_answers_of_any_shape_are_shown_without_a_fault(
    door: FakeDoor,
    visit: Visit,
    states: Any,
    pool: Any,
    queue: Any,
    one: Any,
    asked: Any,
    money: Any,
    which: str,
    data: st.DataObject,
) -> None:
    door.status = {**states, "pools": [pool, states["pools"]], "queues": [queue]}
    door.jobs = [{**one, "id": "one"}, {**job("two"), "job": asked}]
    door.summary = money
    door.more = {**books(), which: data.draw(spoilt(books()[which]))}
    visitor = visit(door)
    for path in PAGES:
        assert visitor.get(path).status_code == 200, path
