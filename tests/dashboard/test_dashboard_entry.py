"""Who gets in, what a form must bring, and that a key never comes back out."""

from collections.abc import Callable

import pytest
from dashboard_door import FakeDoor, FakeKey, job, status
from dashboard_visitor import Visitor
from pydantic import SecretStr

from imagequeue.dashboard.sessions import SESSION_SECONDS, SESSIONS_MAX, Sessions, same_token

Visit = Callable[[FakeDoor], Visitor]
COOKIE = "imagequeue_session"


@pytest.fixture
def closed(door: FakeDoor) -> FakeDoor:
    """Return a door with two keys."""
    door.keys = {"iq_one": FakeKey(), "iq_two": FakeKey()}
    door.status, door.jobs = status(), [job("one", state="failed")]
    return door


def acts(door: FakeDoor) -> list[tuple[str, str]]:
    return [(path, body) for method, path, _, body in door.asked if method == "POST"]


def test_without_a_key_the_way_in_is_shown_and_leads_back(closed: FakeDoor, visit: Visit) -> None:
    visitor = visit(closed)
    sent = visitor.get("/dashboard/jobs?status=failed")
    assert sent.status_code == 303
    assert sent.headers["location"] == "/dashboard/login?back=%2Fdashboard%2Fjobs%3Fstatus%3Dfailed"
    assert 'type="password"' in visitor.get(sent.headers["location"]).text
    assert closed.asked == []


def test_a_key_lets_in_and_stays_in_this_process(closed: FakeDoor, visit: Visit) -> None:
    visitor = visit(closed)
    answer = visitor.login("iq_one")
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/dashboard" in cookie
    page = visitor.get("/dashboard/")
    assert page.status_code == 200
    assert "iq_one" not in page.text + str(page.headers) + cookie
    assert "Log out" in page.text


def test_behind_tls_the_cookie_is_for_tls_only(closed: FakeDoor, visit: Visit) -> None:
    assert "Secure" not in visit(closed).get("/dashboard/login").headers["set-cookie"]
    closed.settings = closed.settings.model_copy(update={"public_url": "https://images.example"})
    assert "Secure" in visit(closed).get("/dashboard/login").headers["set-cookie"]


def test_a_session_gets_a_new_name_when_it_gets_a_key(closed: FakeDoor, visit: Visit) -> None:
    visitor = visit(closed)
    visitor.get("/dashboard/login")
    before = visitor.cookies[COOKIE]
    visitor.login("iq_one")
    assert visitor.cookies[COOKIE] != before


def test_a_wrong_key_is_refused(closed: FakeDoor, visit: Visit) -> None:
    visitor = visit(closed)
    answer = visitor.login("iq_wrong<script>")
    assert answer.status_code == 401
    assert "unknown, mistyped, expired or revoked" in answer.text
    assert "iq_wrong" not in answer.text
    assert visitor.get("/dashboard/").status_code == 303


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/\\evil", "/v1/jobs", "javascript:x", "x"]
)
def test_the_way_back_never_leaves_this_page(closed: FakeDoor, visit: Visit, back: str) -> None:
    visitor = visit(closed)
    form = {"key": "iq_one", "form_token": visitor.form_token("/dashboard/login"), "back": back}
    assert visitor.post("/dashboard/login", form).headers["location"] == "/dashboard"


def test_a_key_that_is_revoked_lets_nobody_on(closed: FakeDoor, visit: Visit) -> None:
    visitor = visit(closed)
    visitor.login("iq_one")
    del closed.keys["iq_one"]
    assert visitor.get("/dashboard/").status_code == 303


def test_logging_out_ends_the_session_for_good(closed: FakeDoor, visit: Visit) -> None:
    visitor = visit(closed)
    visitor.login("iq_one")
    kept = visitor.cookies[COOKIE]
    visitor.post("/dashboard/logout", {"form_token": visitor.form_token()})
    visitor.cookies.set(COOKIE, kept, domain="localhost.local", path="/dashboard")
    assert visitor.get("/dashboard/").status_code == 303


def test_an_act_is_asked_of_the_door_with_the_viewers_own_key(closed: FakeDoor, visit: Visit) -> None:
    visitor = visit(closed)
    visitor.login("iq_one")
    form = {"act": "retry", "id": "one", "priority": "high", "form_token": visitor.form_token()}
    answer = visitor.post("/dashboard/jobs/act", form, origin="http://localhost:8080", sec_fetch_site="same-origin")
    assert answer.headers["location"] == "/dashboard/jobs/one"
    assert acts(closed) == [("/v1/jobs/one/retry", '{"priority":"high"}')]


def test_many_jobs_are_told_one_by_one(closed: FakeDoor, visit: Visit) -> None:
    visitor = visit(closed)
    visitor.login("iq_one")
    form = {"act": "cancel", "id": ["one", "<b>two", "one"], "form_token": visitor.form_token()}
    answer = visitor.post("/dashboard/jobs/act", form)
    assert "Cancel: 1 job done, 1 refused" in answer.text
    assert "There is none of this id" in answer.text
    assert [path for path, _ in acts(closed)] == ["/v1/jobs/one/cancel", "/v1/jobs/<b>two/cancel"]


@pytest.mark.parametrize(
    ("changed", "headers"),
    [
        ({"form_token": ""}, {}),
        ({"form_token": "0" * 64}, {}),
        ({"form_token": "\u00e9"}, {}),
        ({}, {"origin": "https://evil.example"}),
        ({}, {"origin": "null"}),
        ({}, {"sec_fetch_site": "cross-site"}),
        ({}, {"sec_fetch_site": "same-site"}),
        ({}, {"content_type": "text/plain"}),
        ({"act": "delete"}, {}),
        ({"id": [f"job-{number}" for number in range(201)]}, {}),
        ({"more": "x" * 70_000}, {}),
        ({"id": [f"job-{number}" for number in range(500)]}, {}),
    ],
)
def test_a_form_that_is_not_of_our_page_changes_nothing(
    closed: FakeDoor, visit: Visit, changed: dict[str, object], headers: dict[str, str]
) -> None:
    visitor = visit(closed)
    visitor.login("iq_one")
    form: dict[str, object] = {"act": "retry", "id": "one", "form_token": visitor.form_token(), **changed}
    answer = visitor.post("/dashboard/jobs/act", form, **headers)
    assert answer.status_code == 403
    assert acts(closed) == []


def test_the_token_of_another_session_does_not_do(closed: FakeDoor, visit: Visit) -> None:
    mine, theirs = visit(closed), visit(closed)
    mine.login("iq_one")
    theirs.login("iq_two")
    form = {"act": "retry", "id": "one", "form_token": theirs.form_token()}
    assert mine.post("/dashboard/jobs/act", form).status_code == 403
    assert acts(closed) == []


def test_nothing_changes_by_looking(closed: FakeDoor, visit: Visit) -> None:
    visitor = visit(closed)
    visitor.login("iq_one")
    for path in ("/dashboard/jobs/act", "/dashboard/logout"):
        assert visitor.get(f"{path}?act=retry&id=one").status_code in (404, 405)
    assert acts(closed) == []
    assert visitor.get("/dashboard/").status_code == 200


def test_an_open_door_serves_this_machine_only(door: FakeDoor, visit: Visit) -> None:
    door.status = status()
    assert visit(door).get("/dashboard/").status_code == 200
    answer = visit(door).get("/dashboard/settings", host="evil.example")
    assert answer.status_code == 403
    assert "pace_fraction" not in answer.text


def test_forms_of_an_open_door_need_their_token_too(door: FakeDoor, visit: Visit) -> None:
    door.jobs = [job("one", state="failed")]
    visitor = visit(door)
    token = visitor.form_token()
    assert visitor.post("/dashboard/jobs/act", {"act": "retry", "id": "one"}).status_code == 403
    assert visitor.post("/dashboard/jobs/act", {"act": "retry", "id": "one", "form_token": token}).status_code == 303


def test_a_session_ends_in_time_and_the_oldest_gives_way() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    first = sessions.login(SecretStr("one"))
    found = sessions.find(first.id)
    assert found is not None
    assert found.key == SecretStr("one")
    assert same_token(first.form_token, found)
    for _ in range(SESSIONS_MAX):
        last = sessions.login(SecretStr("more"))
    assert sessions.find(first.id) != found
    now[0] = SESSION_SECONDS
    ended = sessions.find(last.id)
    assert ended is not None
    assert ended.key is None


def test_a_cookie_that_is_none_of_ours_is_nobody() -> None:
    sessions = Sessions()
    assert sessions.find(None) is None
    assert sessions.find("x" * 100) is None
    found = sessions.find("made-up")
    assert found is not None
    assert found.key is None
