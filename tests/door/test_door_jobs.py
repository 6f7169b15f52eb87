"""Jobs over HTTP: submit, look, wait, list, cancel, retry, keep, follow, in bulk."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
import redis
from door_stack import Stack, ended, eventually, submit

from imagequeue.config.embedded import ensure_server

pytestmark = pytest.mark.xdist_group("door")

LATER = "2999-01-01T00:00:00Z"


def test_a_job_goes_in_and_its_image_comes_out(client: httpx.Client, stack: Stack) -> None:
    answer = client.post("/v1/jobs", json={"prompt": "a cat", "model": "dall-e-3"})
    assert answer.status_code == 202
    assert set(answer.json()) == {"id", "status", "created"}
    view = ended(client, answer.json()["id"])
    assert view["status"] == "succeeded"
    assert view["cost"] == {"usd": "0.040000000", "model": "dall-e-3", "org": "main", "delivery": "now"}
    image = view["images"][0]
    assert image["url"] == f"{stack.open_url}/v1/images/{image['sha256']}"
    file = client.get(image["url"])
    assert len(file.content) == image["bytes"]
    assert file.headers["content-type"] == "image/png"
    assert file.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in file.headers["cache-control"]
    assert client.get(image["url"], headers={"If-None-Match": file.headers["etag"]}).status_code == 304
    part = client.get(image["url"], headers={"Range": "bytes=1-3", "If-Range": file.headers["etag"]})
    assert (part.status_code, part.content) == (206, b"PNG")
    assert part.headers["content-range"] == f"bytes 1-3/{len(file.content)}"
    beyond = client.get(image["url"], headers={"Range": f"bytes={len(file.content)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(file.content)}")
    assert client.get(image["url"], params={"download": ""}).headers["content-disposition"].startswith("attachment")


def test_a_list_is_queued_whole_or_not_at_all(client: httpx.Client) -> None:
    tenant = f"t{uuid4().hex}"
    good = {"prompt": "a cat", "tenant": tenant, "not_before": LATER}
    refused = client.post("/v1/jobs", json=[good, {"prompt": "", "tenant": tenant}])
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "1.prompt"
    assert client.get("/v1/jobs", params={"tenant": tenant}).json()["jobs"] == []
    accepted = client.post("/v1/jobs", json=[good, good])
    ids = {job["id"] for job in accepted.json()["jobs"]}
    assert {job["id"] for job in client.get("/v1/jobs", params={"tenant": tenant}).json()["jobs"]} == ids
    assert len(ids) == 2


def test_the_same_idempotency_key_is_the_same_job_and_another_body_is_a_conflict(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    body = {"prompt": "a cat", "model": "dall-e-3"}
    first = client.post("/v1/jobs", json=body, headers=headers).json()
    assert ended(client, first["id"])["status"] == "succeeded"
    again = client.post("/v1/jobs", json=body, headers=headers).json()
    assert again == {"id": first["id"], "status": "succeeded", "created": False}
    other = client.post("/v1/jobs", json=body | {"prompt": "a dog"}, headers=headers)
    assert (other.status_code, other.json()["error"]["param"]) == (409, "idempotency_key")
    differs = client.post("/v1/jobs", json=body | {"idempotency_key": "x"}, headers=headers)
    assert differs.status_code == 400


def test_a_key_is_known_after_its_job_has_left_redis(client: httpx.Client, stack: Stack) -> None:
    """The same body gives the same job from the ledger by every way in, another body is a conflict, no call is made."""
    key, tenant = uuid4().hex, f"t{uuid4().hex}"
    body = {"prompt": "a cat", "model": "dall-e-3", "tenant": tenant, "idempotency_key": key}
    first = ended(client, client.post("/v1/jobs", json=body).json()["id"])
    forget(stack, f"rq:job:{first['id']}")
    billed = len(stack.simulator.control.bill())
    again = client.post("/v1/jobs", json=body)
    assert (again.status_code, again.json()) == (202, {"id": first["id"], "status": "succeeded", "created": False})
    in_bulk = client.post("/v1/jobs/bulk?handles=1", content=json.dumps(body)).json()
    assert in_bulk["handles"] == [{"id": first["id"], "created": False}]
    shown = client.get(f"/v1/jobs/{first['id']}", params={"wait": 20}).json()
    assert (shown["status"], shown["images"]) == ("succeeded", first["images"])
    for way, content in (
        ("/v1/jobs", body | {"prompt": "a dog"}),
        ("/v1/jobs/bulk", body | {"n": 1, "size": "1024x1792"}),
    ):
        other = client.post(way, content=json.dumps(content))
        assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert len(stack.simulator.control.bill()) == billed


def test_the_image_apis_own_door_gives_the_same_images_after_the_job_has_left_redis(stack: Stack) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    body = {"prompt": "a cat", "model": "dall-e-3", "response_format": "b64_json"}
    with stack.client() as client:
        first = client.post("/v1/images/generations", json=body, headers=headers)
        forget(stack, f"rq:job:{first.headers['x-imagequeue-job']}")
        billed = len(stack.simulator.control.bill())
        again = client.post("/v1/images/generations", json=body, headers=headers)
        assert again.json() == first.json()
        other = client.post("/v1/images/generations", json=body | {"prompt": "a dog"}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert len(stack.simulator.control.bill()) == billed


def test_a_key_that_redis_knows_no_more_is_refused_and_its_result_still_shown(
    client: httpx.Client, stack: Stack
) -> None:
    """After the key's own time the ledger still knows the job; nobody can tell any more what was asked for."""
    body = {"prompt": "a cat", "model": "dall-e-3", "idempotency_key": uuid4().hex}
    first = ended(client, client.post("/v1/jobs", json=body).json()["id"])
    forget(stack, f"rq:job:{first['id']}", f"imagequeue:asked:{first['id']}")
    billed = len(stack.simulator.control.bill())
    for prompt in ("a cat", "a dog"):
        late = client.post("/v1/jobs", json=body | {"prompt": prompt})
        assert (late.status_code, late.json()["error"]["code"]) == (409, "idempotency_conflict")
        assert f"/v1/jobs/{first['id']}" in late.json()["error"]["message"]
    in_bulk = client.post("/v1/jobs/bulk", content=json.dumps(body))
    assert (in_bulk.status_code, in_bulk.json()["error"]["jobs"]) == (409, 0)
    assert client.get(f"/v1/jobs/{first['id']}").json()["images"] == first["images"]
    assert len(stack.simulator.control.bill()) == billed


def forget(stack: Stack, *names: str) -> None:
    """Take keys out of Redis, as their times to live do; each must have been there."""
    with redis.Redis.from_url(ensure_server(stack.data_dir)) as server:
        assert server.delete(*names) == len(names)


def test_a_wait_ends_when_the_job_does(client: httpx.Client) -> None:
    """The job ends while somebody waits, by another request; the answer comes at once and not at the wait's end."""
    job_id = submit(client, not_before=LATER)
    started = time.monotonic()
    cancel = threading.Timer(0.1, lambda: httpx.post(f"{client.base_url}/v1/jobs/{job_id}/cancel"))
    cancel.start()
    view = client.get(f"/v1/jobs/{job_id}", params={"wait": 25}).json()
    cancel.join()
    assert view["status"] == "cancelled"
    assert time.monotonic() - started < 20


def test_a_wait_that_is_over_shows_the_job_as_it_is(client: httpx.Client) -> None:
    view = client.get(f"/v1/jobs/{submit(client, not_before=LATER)}", params={"wait": 0.1}).json()
    assert view["status"] == "waiting"
    assert view["waiting"]["reason"] == "backoff"
    for wrong in ("-1", "301", "soon", "nan", "inf"):
        refused = client.get(f"/v1/jobs/{view['id']}", params={"wait": wrong})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "wait")


def test_lists_are_filtered_and_paged(client: httpx.Client) -> None:
    tenant = f"t{uuid4().hex}"
    common = {"prompt": "a cat", "tenant": tenant, "not_before": LATER, "model": "dall-e-3"}
    jobs = [common | {"tags": {"color": "red" if n % 2 else "blue"}, "priority": "low"} for n in range(5)]
    ids = [job["id"] for job in client.post("/v1/jobs", json=jobs).json()["jobs"]]
    query: dict[str, str | int] = {"tenant": tenant, "limit": 2, "status": "waiting"}
    seen: list[str] = []
    for _ in range(5):
        page = client.get("/v1/jobs", params=query).json()
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert sorted(seen) == sorted(ids)
    red = client.get("/v1/jobs", params={"tenant": tenant, "tag": "color=red", "priority": "low"}).json()["jobs"]
    assert {job["id"] for job in red} == set(ids[1::2])
    assert client.get("/v1/jobs", params={"tenant": tenant, "priority": "high"}).json()["jobs"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"status": "lost"}, "status"),
        ({"priority": "urgent"}, "priority"),
        ({"tag": "color"}, "tag"),
        ({"after": "page2"}, "after"),
        ({"modle": "dall-e-3"}, "modle"),
    ],
)
def test_a_wrong_filter_is_named(client: httpx.Client, query: dict[str, str], param: str) -> None:
    refused = client.get("/v1/jobs", params=query)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


def test_a_job_is_cancelled_retried_and_its_image_kept(client: httpx.Client) -> None:
    job_id = submit(client, not_before=LATER)
    cancelled = client.post(f"/v1/jobs/{job_id}/cancel").json()
    assert (cancelled["status"], cancelled["changed"]) == ("cancelled", True)
    retried = client.post(f"/v1/jobs/{job_id}/retry", json={"priority": "high"}).json()
    assert (retried["status"], retried["changed"]) == ("queued", True)
    view = ended(client, job_id)
    assert (view["status"], view["job"]["priority"]) == ("succeeded", "high")
    assert client.post(f"/v1/jobs/{job_id}/retry").status_code == 409
    assert client.post(f"/v1/jobs/{job_id}/keep").json()["changed"]
    assert client.post(f"/v1/jobs/{job_id}/keep", json={"images": ["0" * 64]}).status_code == 404
    assert client.post(f"/v1/jobs/{job_id}/keep", json={"images": "all"}).json()["error"]["param"] == "images"
    assert client.post(f"/v1/jobs/{job_id}/retry", json={"urgent": 1}).json()["error"]["param"] == "urgent"


def test_what_is_not_there_is_not_found(client: httpx.Client) -> None:
    for path in ("/v1/jobs/none", "/v1/jobs/none/events", f"/v1/images/{'0' * 64}", "/v1/images/x", "/v2"):
        assert client.get(path).status_code == 404
    for act in ("cancel", "retry", "keep"):
        assert client.post(f"/v1/jobs/none/{act}").status_code == 404
    assert client.delete("/v1/jobs/none").status_code == 405
    assert client.delete("/v1/jobs").headers["allow"] == "GET, HEAD, POST"
    assert client.get("/v1/jobs/a b").json()["error"]["param"] == "id"


def test_bulk_queues_in_chunks_and_says_where_to_go_on(client: httpx.Client) -> None:
    tenant = f"t{uuid4().hex}"
    good = json.dumps({"prompt": "a cat", "tenant": tenant, "not_before": LATER})
    report = client.post("/v1/jobs/bulk", content="\n".join([good] * 3 + ["", good])).json()
    assert report == {"jobs": 4, "created": 4, "chunks": 1, "next_line": 6}
    stopped = client.post("/v1/jobs/bulk", content="\n".join([good] * 600 + ['{"prompt": 1}']))
    error = stopped.json()["error"]
    assert stopped.status_code == 400
    assert (error["param"], error["jobs"], error["next_line"]) == ("line 601: prompt", 500, 501)
    not_json = client.post("/v1/jobs/bulk", content="{")
    assert not_json.json()["error"]["param"] == "line 1: job"
    too_long = client.post("/v1/jobs/bulk", content=json.dumps({"prompt": "x" * 1_100_000}))
    assert (too_long.status_code, too_long.json()["error"]["param"]) == (400, "line 1: job")


def test_events_follow_a_job_to_its_end(client: httpx.Client) -> None:
    job_id = submit(client, not_before=LATER)
    names = []
    with client.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
                if len(names) == 1:
                    httpx.post(f"{client.base_url}/v1/jobs/{job_id}/cancel")
            elif line.startswith("data: "):
                view = json.loads(line.removeprefix("data: "))
    assert names == ["waiting", "cancelled"]
    assert view["id"] == job_id


def test_events_of_some_jobs_end_when_all_have(client: httpx.Client) -> None:
    ids = [submit(client, not_before=LATER) for _ in range(3)]
    seen: list[tuple[str, str]] = []
    with client.stream("GET", "/v1/jobs/events", params={"id": ids}) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                view = json.loads(line.removeprefix("data: "))
                seen.append((view["id"], view["status"]))
                if len(seen) == len(ids):
                    for job_id in ids:
                        httpx.post(f"{client.base_url}/v1/jobs/{job_id}/cancel")
    assert seen[:3] == [(job_id, "waiting") for job_id in ids]
    assert sorted(seen[3:]) == sorted((job_id, "cancelled") for job_id in ids)


def test_events_are_of_jobs_that_are_named_known_and_ones_own(client: httpx.Client, stack: Stack) -> None:
    path = "/v1/jobs/events"
    for query in ({}, {"id": [str(i) for i in range(101)]}, {"ids": "x"}):
        answer = client.get(path, params=query)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "ids" if "ids" in query else "id")
    mine = submit(client, not_before=LATER, tenant="red")
    assert client.get(path, params={"id": [mine, "0" * 32]}).status_code == 404
    with stack.client("blue") as blue:
        assert blue.get(path, params={"id": mine}).status_code == 403
    client.post(f"/v1/jobs/{mine}/cancel")


def test_a_bulk_whose_client_leaves_queues_whole_chunks_and_is_sent_again_without_doubles(client: httpx.Client) -> None:
    tenant = f"t{uuid4().hex}"
    job = {"model": "dall-e-3", "tenant": tenant, "not_before": LATER}
    lines = [json.dumps(job | {"prompt": f"cat {i}", "idempotency_key": f"{i}"}) for i in range(1_200)]
    body = "\n".join(lines).encode()
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as leaver:
        head = f"POST /v1/jobs/bulk HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        leaver.sendall(head.encode() + "\n".join(lines[:700]).encode())
        eventually(lambda: of_tenant(client, tenant) == 500)  # the chunk that is whole; the other 200 lines wait
    report = client.post("/v1/jobs/bulk", content=body).json()
    assert report == {"jobs": 1_200, "created": 700, "chunks": 3, "next_line": 1_201}
    assert of_tenant(client, tenant) == 1_200


@pytest.mark.parametrize("rest", [["{"], 600 * ['{"prompt": "a cat"}']], ids=["a wrong line", "a whole chunk"])
def test_a_bulk_stops_at_the_first_chunk_that_fails_whatever_was_read_behind_it(
    client: httpx.Client, rest: list[str]
) -> None:
    tenant, key = f"t{uuid4().hex}", uuid4().hex
    good = json.dumps({"prompt": "a cat", "tenant": tenant, "not_before": LATER})
    keyed = {"prompt": "a cat", "tenant": tenant, "not_before": LATER, "idempotency_key": key}
    client.post("/v1/jobs", json=keyed).raise_for_status()
    other = json.dumps(keyed | {"prompt": "a dog"})
    behind = [line.replace("}", f', "tenant": "{tenant}-behind"}}') for line in rest]
    stopped = client.post("/v1/jobs/bulk", content="\n".join([good] * 500 + [other] + [good] * 499 + behind))
    error = stopped.json()["error"]
    assert stopped.status_code == 409
    assert (error["param"], error["jobs"], error["next_line"]) == ("idempotency_key", 500, 501)
    assert of_tenant(client, f"{tenant}-behind") == 0


def of_tenant(client: httpx.Client, tenant: str) -> int:
    """Count a tenant's jobs page by page."""
    count, after = 0, None
    for _ in range(100):
        page = client.get(
            "/v1/jobs", params={"tenant": tenant, "limit": 500} | ({"after": after} if after else {})
        ).json()
        count, after = count + len(page["jobs"]), page["next"]
        if after is None:
            break
    return count


def test_a_body_is_counted_whatever_its_length_says(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 65_536

    announced = client.post("/v1/jobs", content=b" " * 1_100_000)
    assert (announced.status_code, announced.json()["error"]["code"]) == (413, "too_large")
    try:
        unannounced = httpx.post(f"{client.base_url}/v1/jobs", content=endless())
    except httpx.TransportError:  # the door closes while the client still sends
        return
    assert unannounced.status_code == 413


@pytest.mark.parametrize("body", ["", "{", "null", "3", '"a cat"', "[]", "[[]]", "NaN", '{"prompt": "\\ud800"}', "[1]"])
def test_what_is_no_job_is_refused(client: httpx.Client, body: str) -> None:
    answer = client.post("/v1/jobs", content=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]


def test_a_batch_is_refused_where_the_model_has_none(client: httpx.Client) -> None:
    refused = client.post("/v1/jobs", json={"prompt": "a cat", "model": "dall-e-2", "delivery": "batch"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "delivery")
    taken = client.post("/v1/jobs", json={"prompt": "a cat", "model": "gpt-image-2", "delivery": "batch"})
    assert taken.status_code == 202


def test_a_webhook_that_is_no_configured_endpoint_is_refused(client: httpx.Client) -> None:
    refused = client.post("/v1/jobs", json={"prompt": "a cat", "webhook": "https://example.com/hook"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "webhook")


def test_every_answer_has_a_request_id_and_a_good_one_is_kept(client: httpx.Client) -> None:
    assert client.get("/healthz").headers["x-request-id"].startswith("req_")
    assert client.get("/healthz", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    odd = client.get("/healthz", headers={"X-Request-Id": "<script>"})
    assert odd.headers["x-request-id"].startswith("req_")


def test_without_keys_other_sites_pages_and_foreign_names_are_turned_away(client: httpx.Client) -> None:
    body = {"prompt": "a cat"}
    assert client.post("/v1/jobs", json=body, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.get("/v1/jobs", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/v1/jobs", headers={"Host": "localhost:1"}).status_code == 200
    assert "access-control-allow-origin" not in client.get("/healthz", headers={"Origin": "https://a.example"}).headers


def test_figures_of_everything(client: httpx.Client) -> None:
    ended(client, submit(client))
    assert client.get("/readyz").json() == {
        "status": "ready", "queue": "reachable", "ledger": "reachable", "store": "reachable",
    }  # fmt: skip
    home = client.get("/")
    assert home.headers.get("location") == "/dashboard/" or home.json()["description"] == "/openapi.json"
    summary = client.get("/v1/ledger/summary", params={"group_by": "model,day"}).json()
    assert summary["images"] >= 1
    assert {group["model"] for group in summary["groups"]} >= {"dall-e-3"}
    assert client.get("/v1/ledger/summary", params={"group_by": "mood"}).json()["error"]["param"] == "group_by"
    assert client.get("/v1/ledger/summary", params={"since": "soon"}).json()["error"]["param"] == "since"
    text = client.get("/metrics").text
    for name in ("imagequeue_jobs", "imagequeue_pool_pace_images_per_minute", "imagequeue_ledger_settled_usd"):
        assert f"\n{name}{{" in text
    assert "a lighthouse" not in text
    assert "tenant=" not in text
    eventually(lambda: 'tenant="default"' in client.get("/metrics", params={"tenants": "1"}).text)
