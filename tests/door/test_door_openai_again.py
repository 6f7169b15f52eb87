"""The image API's calls that come a second time under one idempotency key, and what a stream cannot give."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from door_stack import Stack, eventually

pytestmark = pytest.mark.xdist_group("door")

GENERATIONS = "/v1/images/generations"
SLOW = {"prompt": "x", "model": "dall-e-2", "response_format": "url"}


@contextmanager
def _busy(admin: httpx.Client) -> Iterator[list[str]]:
    """Keep dall-e-2's line busy: it makes one image in about two seconds."""
    jobs = [{"prompt": "x", "model": "dall-e-2", "priority": "low", "tenant": "busy"}] * 2
    ids = [job["id"] for job in admin.post("/v1/jobs", json=jobs).json()["jobs"]]
    eventually(lambda: any(admin.get(f"/v1/jobs/{job_id}").json()["status"] != "queued" for job_id in ids))
    yield ids
    for job_id in ids:
        admin.post(f"/v1/jobs/{job_id}/cancel")


def _post(client: httpx.Client, headers: dict[str, str], patience: float) -> httpx.Response:
    return client.post(GENERATIONS, json=SLOW, headers={**headers, "X-ImageQueue-Patience": str(patience)})


def _job(client: httpx.Client, tenant: str) -> dict[str, Any]:
    jobs: list[dict[str, Any]] = client.get("/v1/jobs", params={"tenant": tenant}).json()["jobs"]
    assert len(jobs) == 1
    return jobs[0]


def test_a_client_that_was_told_to_come_back_gets_its_image_under_the_same_key(stack: Stack) -> None:
    """The first request's patience is over before the job starts, so it is cancelled; the second one waits longer."""
    key = {"Idempotency-Key": uuid4().hex, "X-ImageQueue-Tenant": f"t{uuid4().hex}"}
    with stack.client("admin") as admin, _busy(admin):
        late = _post(admin, key, 0.2)
        assert (late.status_code, late.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        again = _post(admin, key, 60)
        assert again.status_code == 200, again.text
        assert again.headers["x-imagequeue-job"] == late.headers["x-imagequeue-job"]
        third = _post(admin, key, 60)
        assert third.json() == again.json() | {"data": third.json()["data"]}
        assert len(_job(admin, key["X-ImageQueue-Tenant"])["attempts"]) == 1


def test_a_client_that_times_out_and_sends_the_call_again_gets_its_image(stack: Stack) -> None:
    """The official client does so by itself; hanging up cancelled the job that the key names."""
    tenant = f"t{uuid4().hex}"
    headers = {"Idempotency-Key": uuid4().hex, "X-ImageQueue-Tenant": tenant}
    token = stack.tokens["admin"]
    with stack.client("admin") as admin, _busy(admin):
        asked = {"base_url": f"{stack.url}/v1", "api_key": token, "default_headers": headers}
        with openai.OpenAI(**asked, max_retries=0, timeout=0.1) as hasty, pytest.raises(openai.APITimeoutError):  # type: ignore[arg-type]  # a test's fields
            hasty.images.generate(model="dall-e-2", prompt="x", response_format="url")
        eventually(lambda: _job(admin, tenant)["status"] == "cancelled")
        with openai.OpenAI(**asked, max_retries=0, timeout=30) as patient:  # type: ignore[arg-type]  # a test's fields
            assert patient.images.generate(model="dall-e-2", prompt="x", response_format="url").data
        assert _job(admin, tenant)["status"] == "succeeded"


def test_an_impatient_request_does_not_cancel_the_job_of_another_one(stack: Stack) -> None:
    key = {"Idempotency-Key": uuid4().hex, "X-ImageQueue-Tenant": f"t{uuid4().hex}"}
    with stack.client("admin") as admin, _busy(admin):
        mine = _post(admin, key, 0.2)
        job_id = mine.headers["x-imagequeue-job"]
        assert admin.post(f"/v1/jobs/{job_id}/retry").json()["status"] == "queued"  # now somebody else's wish
        hurried = _post(admin, key, 0.2)
        assert (hurried.status_code, hurried.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert "cancelled" not in hurried.json()["error"]["message"]
        assert admin.get(f"/v1/jobs/{job_id}").json()["status"] != "cancelled"
        admin.post(f"/v1/jobs/{job_id}/cancel")


def test_a_stream_has_no_links_and_that_is_said_before_anything_is_paid(stack: Stack) -> None:
    billed = len(stack.simulator.control.bill())
    ask = {"model": "gpt-image-2", "prompt": "x", "quality": "low", "stream": True, "response_format": "url"}
    with stack.client("submitter") as client:
        answer = client.post(GENERATIONS, json=ask)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "response_format")
        assert "b64_json" in answer.json()["error"]["message"]
        whole = client.post(GENERATIONS, json=ask | {"response_format": "b64_json"})
        assert whole.text.startswith("event: image_generation.completed")
    assert len(stack.simulator.control.bill()) == billed + 1


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/bulk", GENERATIONS, "/v1/images", "/v1/images/edits"])
def test_a_compressed_body_is_refused_by_name(stack: Stack, path: str) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/octet-stream"}
    with stack.client("submitter") as client:
        answer = client.post(path, content=gzip.compress(b'{"prompt": "x"}'), headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Content-Encoding")
