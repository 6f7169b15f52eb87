"""What the forms of the pages do: retry by cause, move, suspend and resume; and what is shown when a part is away."""

import re
from collections.abc import Callable

import pytest
from dashboard_door import FakeDoor, FakeKey, advised, books, job, status, summary
from dashboard_scene import set_scene
from dashboard_visitor import Visitor

Visit = Callable[[FakeDoor], Visitor]


def acts(door: FakeDoor) -> list[tuple[str, str]]:
    return [(path, body) for method, path, _, body in door.asked if method == "POST"]


def failed(job_id: str, code: str) -> dict[str, object]:
    return job(job_id, state="failed", error={"code": code, "message": f"why {code}", "retryable": True})


def test_failed_jobs_are_counted_by_cause_the_most_frequent_first(door: FakeDoor, visit: Visit) -> None:
    door.jobs = [failed("a", "server_error"), failed("b", "timeout"), failed("c", "timeout")]
    page = visit(door).get("/dashboard/jobs?status=failed&tenant=shop").text
    assert page.index("why timeout") < page.index("why server_error")
    assert re.search(r"timeout</bdi></a></th><td class=\"number\">2</td>", page)
    assert "status=failed&amp;error=timeout&amp;tenant=shop" in page
    assert "Why they failed" not in visit(door).get("/dashboard/jobs").text


def test_all_that_failed_for_one_cause_is_retried_and_nothing_else(door: FakeDoor, visit: Visit) -> None:
    door.jobs = [failed("a", "timeout"), failed("b", "server_error"), failed("c", "timeout")]
    visitor = visit(door)
    form = {"error": "timeout", "tenant": "shop", "form_token": visitor.form_token()}
    answer = visitor.post("/dashboard/jobs/retry-failed", form)
    assert "Retry: 2 jobs done" in answer.text
    assert acts(door) == [("/v1/jobs/a/retry", "{}"), ("/v1/jobs/c/retry", "{}")]
    assert ("GET", "/v1/jobs", "status=failed&error=timeout&tenant=shop&limit=200", "") in door.asked


def test_a_cause_is_needed_and_so_is_a_token(door: FakeDoor, visit: Visit) -> None:
    visitor = visit(door)
    assert visitor.post("/dashboard/jobs/retry-failed", {"form_token": visitor.form_token()}).status_code == 403
    for path in ("/dashboard/jobs/retry-failed", "/dashboard/pools/act"):
        assert visitor.post(path, {"error": "x", "pool": "a|b", "act": "suspend"}).status_code == 403
        assert visitor.get(path).status_code in (404, 405)
    assert acts(door) == []


def test_no_more_than_a_thousand_are_retried_at_once_and_it_is_said(door: FakeDoor, visit: Visit) -> None:
    door.jobs, door.following = [failed(f"j{place}", "timeout") for place in range(201)], "more"
    visitor = visit(door)
    answer = visitor.post("/dashboard/jobs/retry-failed", {"error": "timeout", "form_token": visitor.form_token()})
    assert len(acts(door)) == 1_000
    assert "there are more" in answer.text


def test_a_job_moves_to_another_priority(door: FakeDoor, visit: Visit) -> None:
    door.jobs = [job("one", state="queued")]
    visitor = visit(door)
    form = {"act": "priority", "id": "one", "move_to": "high", "form_token": visitor.form_token()}
    assert visitor.post("/dashboard/jobs/act", form).status_code == 303
    assert acts(door) == [("/v1/jobs/one/priority", '{"priority":"high"}')]


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ({"act": "suspend"}, ("/v1/pools/main/dall-e-3/suspend", "{}")),
        (
            {"act": "suspend", "reason": "weekend", "minutes": "90"},
            ("/v1/pools/main/dall-e-3/suspend", '{"reason":"weekend","minutes":90}'),
        ),
        ({"act": "resume", "reason": "x"}, ("/v1/pools/main/dall-e-3/resume", "{}")),
    ],
)
def test_a_pool_is_suspended_and_resumed(
    door: FakeDoor, visit: Visit, form: dict[str, str], asked: tuple[str, str]
) -> None:
    door.status = status()
    visitor = visit(door)
    before = visitor.get("/dashboard/pools").text
    token = visitor.form_token("/dashboard/pools")
    answer = visitor.post("/dashboard/pools/act", {"pool": "main|dall-e-3", "form_token": token, **form})
    assert answer.headers["location"] == "/dashboard/pools"
    assert acts(door) == [asked]
    assert "Suspend or resume" in before
    door.status["pools"][0]["suspended"] = "weekend"
    assert "is suspended: weekend" in visitor.get("/dashboard/pools").text, "what was read before is not shown after"


@pytest.mark.parametrize("form", [{"act": "delete"}, {"act": "suspend", "minutes": "soon"}, {"pool": "none"}])
def test_what_no_form_of_ours_says_switches_nothing(door: FakeDoor, visit: Visit, form: dict[str, str]) -> None:
    visitor = visit(door)
    sent = {"pool": "main|dall-e-3", "act": "suspend", "form_token": visitor.form_token(), **form}
    assert visitor.post("/dashboard/pools/act", sent).status_code == 403
    assert acts(door) == []


def test_switches_are_for_those_who_oversee_everything(door: FakeDoor, visit: Visit) -> None:
    door.status = status(pools=[{**status()["pools"][0], "suspended": "weekend"}])
    door.keys = {"admin": FakeKey(), "shop": FakeKey(tenant="shop")}
    for token, seen in (("admin", True), ("shop", False)):
        visitor = visit(door)
        visitor.login(token)
        assert ("/dashboard/pools/act" in visitor.get("/dashboard/pools").text) is seen


def test_a_ledger_that_is_away_is_said_and_the_queue_is_shown_all_the_same(door: FakeDoor, visit: Visit) -> None:
    door.status, door.summary, door.ledger_broken = status(), summary("main"), 503
    page = visit(door).get("/dashboard/")
    assert page.status_code == 200
    assert "No figures of money: The ledger cannot be reached now" in page.text
    assert "1,000,000" in page.text
    assert visit(door).get("/dashboard/ledger").status_code == 503


def test_the_overview_tells_how_calls_go_and_what_webhooks_miss(door: FakeDoor, visit: Visit) -> None:
    door.status, door.summary, door.more = status(), summary("main"), books("orders")
    page = visit(door).get("/dashboard/").text
    for said in (
        "<strong>12 s</strong><span>median call",
        "<strong>31 s</strong>",
        "21\N{NO-BREAK SPACE}% of the calls of the last 10 minutes failed",
        "<strong>70\N{NO-BREAK SPACE}%</strong><span>from the cache",
        "Nothing is sent to webhook orders",
        "the oldest is 15 min late",
    ):
        assert said in page, said


def test_what_the_door_advises_is_shown_the_worst_first_with_what_would_help(door: FakeDoor, visit: Visit) -> None:
    door.status = status()
    door.more["/v1/advice"] = {
        "findings": [advised("a note", "info"), advised("a model ends", "critical", "take another")]
    }
    page = visit(door).get("/dashboard/").text
    assert page.index("a model ends") < page.index("take another") < page.index("a note")
    door.more.clear()
    assert "Worth knowing" not in visit(door).get("/dashboard/").text


def test_a_job_that_joined_another_leads_to_it(door: FakeDoor, visit: Visit) -> None:
    detail = "waits for job 0d9f4c3f, which asks for the same images"
    door.jobs = [job("one", state="waiting", waiting={"reason": "joined", "until": None, "detail": detail}, error=None)]
    assert 'href="/dashboard/jobs/0d9f4c3f"' in visit(door).get("/dashboard/jobs/one").text


def test_the_timeline_has_the_wait_the_end_and_the_webhooks(door: FakeDoor, visit: Visit) -> None:
    set_scene(door)
    done, waits = (visit(door).get(f"/dashboard/jobs/{name}").text for name in ("one", "three"))
    for said in (
        "33 s in the queue",
        "429 rate_limit_exceeded",
        "1 image, $0.04",
        "Webhook job.succeeded",
        "after 1 try",
    ):
        assert said in done, said
    assert "Waits: " in waits
    assert "budget" in waits


def test_an_id_in_the_search_leads_to_its_job(door: FakeDoor, visit: Visit) -> None:
    door.jobs = [job("one")]
    assert visit(door).get("/dashboard/jobs?q=one").headers["location"] == "/dashboard/jobs/one"
    assert visit(door).get("/dashboard/jobs?q=lighthouse").status_code == 200


def test_thumbnails_are_shown_and_lead_to_the_image(door: FakeDoor, visit: Visit) -> None:
    door.jobs = [job("one")]
    page = visit(door).get("/dashboard/images").text
    sha256 = "a" * 64
    assert f'<a href="/dashboard/images/{sha256}"><img src="/dashboard/images/{sha256}/thumbnail"' in page
    answer = visit(door).get(f"/dashboard/images/{sha256}/thumbnail")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert ("GET", f"/v1/images/{sha256}/thumbnail", "", "") in door.asked


def test_the_planner_asks_for_what_is_filled_in(door: FakeDoor, visit: Visit) -> None:
    door.more = books("main")
    empty = visit(door).get("/dashboard/plan?model=").text
    assert "Nothing is called" in empty
    page = visit(door).get("/dashboard/plan?images_per_day=100000&model=&x=1").text
    assert ("GET", "/v1/plan", "images_per_day=100000", "") in door.asked
    for said in ("69.4", "$120,000.00", "12,000\N{NO-BREAK SPACE}%", "does not fit", 'value="100000"'):
        assert said in page, said


def test_the_ledger_shows_doubts_with_their_age_and_how_far_days_agree(door: FakeDoor, visit: Visit) -> None:
    set_scene(door)
    page = visit(door).get("/dashboard/ledger").text
    for said in (
        "5c1e0b, attempt 1",
        "21 min",
        "agrees",
        "open",
        "invoice 1107",
        "$84,002.10",
        "answered by stored results",
    ):
        assert said in page, said


def test_a_tenants_ledger_leaves_out_what_is_of_all_tenants(door: FakeDoor, visit: Visit) -> None:
    door.summary, door.more = summary("main"), {"/v1/ledger/caps": {"caps": []}}
    page = visit(door).get("/dashboard/ledger").text
    assert "No cap is configured" in page
    assert "Reconciliation" not in page
