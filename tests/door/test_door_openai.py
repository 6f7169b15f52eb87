"""The provider's official client works through the door, and its errors are the client's own classes."""

import asyncio
import base64
import hashlib
import io
import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx
import openai
import pytest
from door_stack import Stack, ended, eventually
from PIL import Image

from imagequeue.simulator.faults import Fault

pytestmark = pytest.mark.xdist_group("door")

PNG = b"\x89PNG\r\n\x1a\n"


def official(stack: Stack, who: str = "submitter", **headers: str) -> openai.OpenAI:
    token = stack.tokens[who]
    return openai.OpenAI(
        base_url=f"{stack.url}/v1", api_key=token, max_retries=0, timeout=30, default_headers=headers or None
    )


def test_an_image_comes_as_base64_with_its_usage(stack: Stack) -> None:
    with official(stack) as client:
        answer = client.images.generate(model="gpt-image-2", prompt="a lighthouse", quality="low", size="1024x1536")
    assert answer.data is not None
    assert base64.b64decode(answer.data[0].b64_json or "").startswith(PNG)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert (answer.size, answer.quality, answer.output_format) == ("1024x1536", "low", "png")


def test_an_image_comes_as_a_link_that_opens_without_a_key(stack: Stack) -> None:
    with official(stack) as client:
        answer = client.images.generate(model="dall-e-3", prompt="a lighthouse", response_format="url")
    assert answer.data is not None
    url = answer.data[0].url or ""
    assert answer.data[0].revised_prompt
    digest = hashlib.sha256(httpx.get(url).content).hexdigest()
    assert f"/v1/images/{digest}?" in url
    assert httpx.get(url.replace("signature=", "signature=0")).status_code == 403
    assert httpx.get(url.replace("expires=", "expires=9")).status_code == 403
    assert httpx.get(url.split("?")[0]).status_code == 401


def test_the_asynchronous_client_and_raw_responses(stack: Stack) -> None:
    async def ask() -> str:
        client = openai.AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=stack.tokens["submitter"], max_retries=0)
        async with client:
            raw = await client.images.with_raw_response.generate(
                model="dall-e-3", prompt="x", response_format="b64_json"
            )
            answer = raw.parse()
            assert answer.data is not None
            assert base64.b64decode(answer.data[0].b64_json or "").startswith(PNG)
            return str(raw.headers["x-imagequeue-job"])

    job_id = asyncio.run(ask())
    with stack.client("admin") as client:
        assert ended(client, job_id)["job"]["priority"] == "high"


def test_models_are_listed(stack: Stack) -> None:
    with official(stack, "reader") as client:
        models = {model.id: model for model in client.models.list()}
    assert {"dall-e-3", "gpt-image-2"} <= models.keys()
    assert models["dall-e-3"].shutdown_date == "2026-05-12"


def test_headers_say_priority_tenant_and_tags(stack: Stack) -> None:
    headers = {"X-ImageQueue-Priority": "low", "X-ImageQueue-Tenant": "green", "X-ImageQueue-Tag-Team": "a b"}
    with official(stack, **headers) as client:
        raw = client.images.with_raw_response.generate(model="dall-e-3", prompt="x", user="u1")
    with stack.client("admin") as native:
        job = native.get(f"/v1/jobs/{raw.headers['x-imagequeue-job']}").json()["job"]
    assert (job["priority"], job["tenant"], job["tags"], job["metadata"]) == (
        "low", "green", {"team": "a b"}, {"user": "u1"},
    )  # fmt: skip


@pytest.mark.usefixtures("_no_faults")
def test_a_job_that_the_provider_refused_raises_the_clients_own_error(stack: Stack) -> None:
    stack.simulator.control.set_faults(Fault(kind="policy"))
    with official(stack) as client, pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(model="gpt-image-2", prompt="x")
    assert (refused.value.code, refused.value.type) == ("moderation_blocked", "image_generation_user_error")
    assert refused.value.response.headers["x-should-retry"] == "false"
    with stack.client("reader") as reader:
        job = ended(reader, refused.value.response.headers["x-imagequeue-job"])
    assert (job["status"], job["error"]["code"]) == ("failed", "moderation_blocked")


def test_refusals_raise_the_clients_own_errors(stack: Stack) -> None:
    with official(stack) as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            client.images.generate(model="dall-e-9", prompt="x")
        assert unknown.value.code == "model_not_found"
        for fields, param in (
            ({"n": 3}, "n"),
            ({"size": "1x1"}, "size"),
            ({"stream": True}, "stream"),
            ({"moderation": "low"}, "moderation"),
            ({"user": "u" * 513}, "user"),
            ({"extra_body": {"safety_identifier": 5}}, "safety_identifier"),
            ({"extra_body": {"promt": "y"}}, "promt"),
            ({"extra_headers": {"X-ImageQueue-Priority": "urgent"}}, "X-ImageQueue-Priority"),
            ({"extra_headers": {"X-ImageQueue-Patience": "long"}}, "X-ImageQueue-Patience"),
            ({"extra_headers": {"X-ImageQueue-Tag-": "x"}}, "tags..[key]"),
        ):
            with pytest.raises(openai.BadRequestError) as refused:
                client.images.generate(model="dall-e-3", prompt="x", **fields)
            assert refused.value.param == param
        with pytest.raises(openai.BadRequestError) as edit:
            client.images.edit(model="gpt-image-2", prompt="x", image=b"x")
        assert edit.value.param == "image"
    with official(stack, "reader") as reader, pytest.raises(openai.PermissionDeniedError):
        reader.images.generate(model="dall-e-3", prompt="x")
    stranger = openai.OpenAI(base_url=f"{stack.url}/v1", api_key="sk-none", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError) as nobody:
        stranger.images.generate(model="dall-e-3", prompt="x")
    assert nobody.value.code == "invalid_api_key"
    assert nobody.value.request_id


def test_refusals_of_edits_raise_the_clients_own_errors(stack: Stack) -> None:
    def edit(client: openai.OpenAI, **fields: object) -> None:
        client.images.edit(**{"model": "gpt-image-2", "prompt": "x", "quality": "low", "image": png()} | fields)  # type: ignore[call-overload]  # a test's fields

    with official(stack) as client:
        gif = io.BytesIO()
        Image.new("RGB", (64, 64)).save(gif, "GIF")
        wrong: tuple[tuple[dict[str, object], str], ...] = (
            ({"size": "1x1"}, "size"),
            ({"n": 99}, "n"),
            ({"image": b"<svg/>"}, "image"),
            ({"image": gif.getvalue()}, "image.0"),
            ({"model": "dall-e-3", "quality": "standard"}, "model"),
        )
        for fields, param in wrong:
            with pytest.raises(openai.BadRequestError) as refused:
                edit(client, **fields)
            assert refused.value.param == param
        with pytest.raises(openai.NotFoundError):
            edit(client, model="dall-e-9")
        same = {"extra_headers": {"Idempotency-Key": uuid4().hex}}
        edit(client, **same)
        with pytest.raises(openai.ConflictError):
            edit(client, prompt="y", **same)
    with official(stack, "reader") as reader, pytest.raises(openai.PermissionDeniedError):
        edit(reader)
    stranger = openai.OpenAI(base_url=f"{stack.url}/v1", api_key="sk-none", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        edit(stranger)


def test_a_client_that_leaves_a_stream_in_the_middle_does_no_harm(stack: Stack) -> None:
    """The call was sent by then, so it is paid for and kept. That no fault is logged is seen to after every test."""
    ask = {"model": "gpt-image-2", "prompt": "x", "quality": "low", "stream": True, "partial_images": 3}
    with official(stack) as client:
        stream = client.images.generate(**ask)  # type: ignore[call-overload]  # the fields of a streamed call
        assert next(iter(stream)).type == "image_generation.partial_image"
        job_id = stream.response.headers["x-imagequeue-job"]
        stream.close()
    with stack.client("admin") as admin:
        assert ended(admin, job_id)["status"] == "succeeded"
    logs = [path.read_text() for path in stack.data_dir.parent.glob("api-*.log")]
    assert any(job_id in log for log in logs)


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), tuple(uuid4().bytes[:3])).save(file, "PNG")
    return file.getvalue()


def test_a_line_longer_than_patience_is_refused_before_anything_is_queued(stack: Stack) -> None:
    """dall-e-2 makes one image in about two seconds here; with jobs in line the wait is known."""
    tenant = f"t{uuid4().hex}"
    with stack.client("admin") as admin:
        jobs = [{"prompt": "x", "model": "dall-e-2", "tenant": tenant}] * 6
        ids = [job["id"] for job in admin.post("/v1/jobs", json=jobs).json()["jobs"]]
        eventually(lambda: _queued(admin, "dall-e-2", "default") >= 4)
        hurried = {"X-ImageQueue-Patience": "2", "X-ImageQueue-Tenant": tenant, "X-ImageQueue-Priority": "default"}
        eventually(lambda: _refused_for_its_line(stack, hurried))
        assert _queued_jobs(admin, tenant) <= 6
        for job_id in ids:
            admin.post(f"/v1/jobs/{job_id}/cancel")


def _refused_for_its_line(stack: Stack, headers: dict[str, str]) -> bool:
    with official(stack, **headers) as client, pytest.raises(openai.RateLimitError) as refused:
        client.images.generate(model="dall-e-2", prompt="x")
    waits = int(refused.value.response.headers["retry-after"])
    assert 1 <= waits <= 90
    return "nothing was queued" in refused.value.message


def _queued(client: httpx.Client, model: str, priority: str) -> int:
    queues = client.get("/v1/status").json()["queues"]
    return sum(queue["queued"] for queue in queues if (queue["model"], queue["priority"]) == (model, priority))


def _queued_jobs(client: httpx.Client, tenant: str) -> int:
    return len(client.get("/v1/jobs", params={"tenant": tenant}).json()["jobs"])


def test_a_client_that_hangs_up_cancels_its_job_if_it_was_not_sent(stack: Stack) -> None:
    """The model's line is busy, so the job waits; its client goes away; the job ends cancelled, and costs nothing."""
    tenant = f"t{uuid4().hex}"
    with stack.client("admin") as admin:
        first = [{"prompt": "x", "model": "dall-e-2", "priority": "low"}] * 2
        ids = [job["id"] for job in admin.post("/v1/jobs", json=first).json()["jobs"]]
        eventually(lambda: any(admin.get(f"/v1/jobs/{job_id}").json()["status"] != "queued" for job_id in ids))
        with _asking(stack, tenant, {"prompt": "x", "model": "dall-e-2"}):
            eventually(lambda: len(_statuses(admin, tenant)) == 1)
        eventually(lambda: _statuses(admin, tenant) == ["cancelled"])
        job = admin.get("/v1/jobs", params={"tenant": tenant}).json()["jobs"][0]
        assert job["attempts"] == []
        for job_id in ids:
            admin.post(f"/v1/jobs/{job_id}/cancel")


@pytest.mark.parametrize("sketches", [0, 2])
def test_a_client_that_leaves_a_stream_before_its_job_was_sent_cancels_it(stack: Stack, sketches: int) -> None:
    tenant = f"t{uuid4().hex}"
    with stack.client("admin") as admin:
        first = [{"prompt": "x", "model": "gpt-image-1.5", "quality": "low", "priority": "low"}] * 2
        ids = [job["id"] for job in admin.post("/v1/jobs", json=first).json()["jobs"]]
        eventually(lambda: any(admin.get(f"/v1/jobs/{job_id}").json()["status"] != "queued" for job_id in ids))
        with _streaming(stack, tenant, "gpt-image-1.5", sketches):
            eventually(lambda: len(_statuses(admin, tenant)) == 1)
        eventually(lambda: _statuses(admin, tenant) == ["cancelled"])
        assert admin.get("/v1/jobs", params={"tenant": tenant}).json()["jobs"][0]["attempts"] == []
        for job_id in ids:
            admin.post(f"/v1/jobs/{job_id}/cancel")


@pytest.mark.usefixtures("_no_faults")
@pytest.mark.parametrize("sketches", [0, 2])
def test_a_client_that_leaves_a_stream_after_its_job_was_sent_leaves_the_image(stack: Stack, sketches: int) -> None:
    """Its answer trickles in for so long that not even the first sketch has come when the client leaves."""
    tenant, billed = f"t{uuid4().hex}", len(stack.simulator.control.bill())
    stack.simulator.control.set_faults(Fault(kind="drip", seconds=1.0))
    with stack.client("admin") as admin:
        with _streaming(stack, tenant, "gpt-image-2", sketches) as reading:
            eventually(lambda: len(stack.simulator.control.bill()) > billed)
            assert not select.select([reading], [], [], 0)[0], "nothing has come yet"
        job_id = admin.get("/v1/jobs", params={"tenant": tenant}).json()["jobs"][0]["id"]
        done = ended(admin, job_id)
        assert (done["status"], len(done["attempts"]), len(done["images"])) == ("succeeded", 1, 1)
        image = admin.get(f"/v1/images/{done['images'][0]['sha256']}")
        assert (image.status_code, image.content[:8]) == (200, PNG)
    assert len(stack.simulator.control.bill()) == billed + 1


@contextmanager
def _streaming(stack: Stack, tenant: str, model: str, sketches: int) -> Iterator[socket.socket]:
    """Ask for a stream and leave at the end of the block, whatever has come by then."""
    ask = {"model": model, "prompt": "x", "quality": "low", "stream": True, "partial_images": sketches}
    with _asking(stack, tenant, ask) as connection:
        yield connection


@contextmanager
def _asking(stack: Stack, tenant: str, ask: dict[str, object]) -> Iterator[socket.socket]:
    """Ask for an image and leave at the end of the block."""
    body, url = json.dumps(ask), httpx.URL(stack.url)
    head = (
        f"POST /v1/images/generations HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Bearer {stack.tokens['submitter']}\r\nX-ImageQueue-Tenant: {tenant}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        connection.sendall((head + body).encode())
        yield connection


def _statuses(client: httpx.Client, tenant: str) -> list[str]:
    return [job["status"] for job in client.get("/v1/jobs", params={"tenant": tenant}).json()["jobs"]]


def test_a_job_not_started_in_time_is_cancelled_and_the_client_told_to_come_back(stack: Stack) -> None:
    tenant = f"t{uuid4().hex}"
    with stack.client("admin") as admin:
        first = [{"prompt": "x", "model": "dall-e-2", "priority": "low"}] * 2
        ids = [job["id"] for job in admin.post("/v1/jobs", json=first).json()["jobs"]]
        eventually(lambda: any(admin.get(f"/v1/jobs/{job_id}").json()["status"] != "queued" for job_id in ids))
        headers = {"X-ImageQueue-Tenant": tenant, "X-ImageQueue-Patience": "0.3"}
        with official(stack, **headers) as client, pytest.raises(openai.RateLimitError) as late:
            client.images.generate(model="dall-e-2", prompt="x")
        assert "the job was cancelled" in late.value.message
        assert _statuses(admin, tenant) == ["cancelled"]
        for job_id in ids:
            admin.post(f"/v1/jobs/{job_id}/cancel")


def test_many_wait_at_once_over_one_subscription(stack: Stack) -> None:
    answers: list[int] = []
    with official(stack) as client:

        def ask() -> None:
            answers.append(len(client.images.generate(model="dall-e-3", prompt="x").data or []))

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [1] * 16
