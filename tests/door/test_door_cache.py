"""The cache at the doors: a stored result is a finished job, one call serves all who ask at once, images are kept."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest
from door_stack import Stack, ended, eventually, make_key, submit

pytestmark = pytest.mark.xdist_group("door")

MODEL = "dall-e-3"
AT_ONCE = 100


def asked(**fields: object) -> dict[str, object]:
    """A request that nobody made before."""
    return {"prompt": f"a cat called {uuid4().hex}", "model": MODEL, "cache": "use", **fields}


def calls(stack: Stack) -> int:
    return len(stack.simulator.control.bill())


def post_at_once(
    client: httpx.Client, bodies: list[dict[str, object]], headers: dict[str, str]
) -> list[httpx.Response]:
    with ThreadPoolExecutor(20) as threads:
        return list(threads.map(lambda body: client.post("/v1/jobs", json=body, headers=headers), bodies))


def test_a_stored_result_is_a_finished_job_that_cost_nothing(client: httpx.Client) -> None:
    body = asked()
    first = ended(client, submit(client, **body))
    answer = client.post("/v1/jobs", json=body | {"priority": "low", "tags": {"page": "2"}})
    assert answer.json()["status"] == "succeeded"
    second = client.get(f"/v1/jobs/{answer.json()['id']}").json()
    assert second["cost"] == {"usd": "0.000000000", "model": MODEL, "org": "main", "delivery": "cache"}
    assert second["attempts"] == []
    assert second["images"] == first["images"]
    assert second["job"]["priority"] == "low"


def test_a_hundred_that_ask_for_the_same_at_once_make_one_call(client: httpx.Client, stack: Stack) -> None:
    before = calls(stack)
    answers = post_at_once(client, [asked(prompt=uuid4().hex)] * AT_ONCE, {})
    ids = {answer.json()["id"] for answer in answers}
    assert len(ids) == AT_ONCE
    views = [ended(client, each) for each in ids]
    assert {view["status"] for view in views} == {"succeeded"}
    assert len({view["images"][0]["sha256"] for view in views}) == 1
    assert calls(stack) - before == 1


def test_a_hundred_posts_with_one_idempotency_key_are_one_job(client: httpx.Client, stack: Stack) -> None:
    before = calls(stack)
    headers = {"Idempotency-Key": uuid4().hex}
    body = {"prompt": "a cat", "model": MODEL}
    answers = post_at_once(client, [body] * AT_ONCE, headers)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Counter(answer.json()["created"] for answer in answers) == {True: 1, False: AT_ONCE - 1}
    ended(client, answers[0].json()["id"])
    assert calls(stack) - before == 1


def test_of_two_bodies_with_one_key_at_once_one_wins_and_the_other_is_told(client: httpx.Client) -> None:
    stored = asked()
    ended(client, submit(client, **stored))
    headers = {"Idempotency-Key": uuid4().hex}
    answers = post_at_once(client, [stored, asked()] * 10, headers)
    assert {answer.status_code for answer in answers} == {202, 409}
    jobs = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert len(jobs) == 1
    view = ended(client, jobs.pop())
    assert view["status"] == "succeeded"
    won = [answer for answer in answers if answer.status_code == 202]
    assert sum(answer.json()["created"] for answer in won) == 1


def test_a_key_that_is_too_long_is_told_in_characters(client: httpx.Client) -> None:
    answer = client.post("/v1/jobs", json={"prompt": "x"}, headers={"Idempotency-Key": "k" * 256})
    assert answer.status_code == 400
    assert "255 characters" in answer.json()["error"]["message"]


def test_the_image_apis_own_door_takes_the_cache_by_header(client: httpx.Client, stack: Stack) -> None:
    body = {"prompt": uuid4().hex, "model": MODEL, "response_format": "b64_json"}
    headers = {"X-ImageQueue-Cache": "use"}
    first = client.post("/v1/images/generations", json=body, headers=headers).json()
    before = calls(stack)
    second = client.post("/v1/images/generations", json=body, headers=headers)
    assert second.json()["data"] == first["data"]
    assert calls(stack) == before
    plain = client.post("/v1/images/generations", json=body)
    assert plain.status_code == 200
    assert calls(stack) == before + 1
    refused = client.post("/v1/images/generations", json=body, headers={"X-ImageQueue-Cache": "yes"})
    assert refused.status_code == 400
    assert "off, use, refresh" in refused.json()["error"]["message"]


def test_a_key_has_a_default_of_its_own(stack: Stack) -> None:
    token = make_key(stack.data_dir, "cached", scopes=("submit", "read"), cache="use")
    with httpx.Client(base_url=stack.url, timeout=30, headers={"Authorization": f"Bearer {token}"}) as client:
        body = {"prompt": uuid4().hex, "model": MODEL}
        ended(client, submit(client, **body))
        assert client.post("/v1/jobs", json=body).json()["status"] == "succeeded"
        assert client.post("/v1/jobs", json=body | {"cache": "off"}).json()["status"] == "queued"


def test_a_stored_result_is_no_way_to_another_tenants_images(stack: Stack) -> None:
    body = asked()
    with stack.client("red") as red, stack.client("blue") as blue:
        first = ended(red, submit(red, **body))
        sha256 = first["images"][0]["sha256"]
        assert blue.get(f"/v1/images/{sha256}").status_code == 403
        answer = blue.post("/v1/jobs", json=body).json()
        assert answer["status"] == "queued"
        assert ended(blue, answer["id"])["attempts"] != []


def test_what_a_key_opens_is_private_and_what_a_link_opens_may_be_kept_as_long_as_it_holds(
    client: httpx.Client, stack: Stack
) -> None:
    with stack.client("red") as red:
        image = ended(red, submit(red, prompt=uuid4().hex, model=MODEL))["images"][0]
        shown = red.get(image["url"])
        assert shown.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert shown.headers["etag"] == f'"{image["sha256"]}"'
        seen = red.get(image["url"], headers={"If-None-Match": f'"x", W/"{image["sha256"]}"'})
        assert (seen.status_code, seen.content) == (304, b"")
        assert seen.headers["cache-control"] == shown.headers["cache-control"]
        assert red.get(image["url"], headers={"If-None-Match": '"x"'}).status_code == 200
        body = {"prompt": uuid4().hex, "model": MODEL, "response_format": "url"}
        link = red.post("/v1/images/generations", json=body).json()["data"][0]["url"]
    kept = httpx.get(link).headers["cache-control"]
    seconds = re.fullmatch(r"public, max-age=(\d+), immutable", kept)
    assert seconds is not None
    assert 3_000 < int(seconds[1]) <= 3_600
    assert client.get(f"/v1/images/{image['sha256']}").headers["cache-control"].startswith("public")
    gone = client.get(f"/v1/images/{'0' * 64}", headers={"If-None-Match": "*"})
    assert gone.status_code == 404


def test_the_status_and_the_metrics_say_how_often_the_cache_answers(client: httpx.Client) -> None:
    body = asked()
    ended(client, submit(client, **body))
    for _ in range(3):
        submit(client, **body)
    eventually(lambda: client.get("/v1/status").json()["cache"]["stored"] >= 3)  # it may be a second old
    status = client.get("/v1/status").json()
    cache = status["cache"]
    total = cache["made"] + cache["stored"] + cache["joined"]
    assert cache["hit_rate"] == pytest.approx((total - cache["made"]) / total, abs=0.001)
    (pool,) = [pool for pool in status["pools"] if MODEL in pool["models"]]
    assert pool["effective_images_per_minute"] > pool["images_per_minute"]
    metrics = client.get("/metrics").text
    assert re.search(r'imagequeue_cache_images\{source="stored"\} [1-9]', metrics)
    assert "imagequeue_cache_hit_ratio 0." in metrics
    assert "imagequeue_pool_effective_images_per_minute{" in metrics
