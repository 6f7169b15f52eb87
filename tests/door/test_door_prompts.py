"""The prompt check at the door: said with the answer, or a refusal, as the request asks."""

import io
import json
from uuid import uuid4

import httpx
import openai
import pytest
from door_stack import Stack, submit
from PIL import Image

from imagequeue.producer.door.prompts import FINDINGS_HEADER_BYTES_MAX, header_text
from imagequeue.producer.promptcheck.check import check_prompt

pytestmark = pytest.mark.xdist_group("door")

BAD = {"prompt": "photorealistic, illustrated, a fox", "model": "dall-e-3", "not_before": "2999-01-01T00:00:00Z"}
GOOD = {**BAD, "prompt": "a fox in the snow"}


@pytest.fixture
def client(stack: Stack) -> httpx.Client:
    """Return a client of the open door."""
    return stack.client()


def test_findings_come_with_the_answer_when_asked_for(client: httpx.Client) -> None:
    with client:
        assert "findings" not in client.post("/v1/jobs", json=BAD).json()
        headers = {"X-ImageQueue-Check": "warn"}
        answer = client.post("/v1/jobs", json=[GOOD, BAD], headers=headers)
        assert answer.status_code == 202
        first, second = (job["findings"] for job in answer.json()["jobs"])
        assert first == []
        assert [finding["code"] for finding in second] == ["conflicting_styles"]
        assert [span["text"] for span in second[0]["spans"]] == ["photorealistic", "illustrated"]


def test_a_flagged_prompt_is_refused_when_asked_for_and_its_place_is_named(client: httpx.Client) -> None:
    headers = {"X-ImageQueue-Check": "block"}
    with client:
        one = client.post("/v1/jobs", json=BAD, headers=headers)
        assert (one.status_code, one.json()["error"]["param"]) == (400, "prompt")
        many = client.post("/v1/jobs", json=[GOOD, BAD], headers=headers)
        assert (many.status_code, many.json()["error"]["param"]) == (400, "1.prompt")
        assert client.post("/v1/jobs", json=GOOD, headers=headers).status_code == 202
        odd = client.post("/v1/jobs", json=GOOD, headers={"X-ImageQueue-Check": "maybe"})
        assert odd.status_code == 400


def test_a_bulk_report_has_findings_by_line(client: httpx.Client) -> None:
    lines = "\n".join(json.dumps(job) for job in (GOOD, BAD, GOOD, BAD | {"prompt": "a {animal} at night"}))
    with client:
        assert "findings" not in client.post("/v1/jobs/bulk", content=lines).json()
        report = client.post("/v1/jobs/bulk", content=lines, headers={"X-ImageQueue-Check": "warn"}).json()
    assert (report["jobs"], report["flagged"]) == (4, 2)
    found = {line["line"]: [finding["code"] for finding in line["findings"]] for line in report["findings"]}
    assert found == {2: ["conflicting_styles"], 4: ["placeholder"]}


def test_a_flagged_line_stops_a_bulk_that_asks_for_it(client: httpx.Client) -> None:
    lines = "\n".join([json.dumps(GOOD)] * 500 + [json.dumps(BAD)])
    headers = {"X-ImageQueue-Check": "block"}
    with client:
        stopped = client.post("/v1/jobs/bulk", content=lines, headers=headers)
        assert client.post("/v1/jobs/bulk", content="", headers={"X-ImageQueue-Check": "maybe"}).status_code == 400
    error = stopped.json()["error"]
    assert (stopped.status_code, error["param"], error["jobs"], error["next_line"]) == (
        400,
        "line 501: prompt",
        500,
        501,
    )
    assert "conflicting_styles" in error["message"]


def test_only_so_many_lines_are_told_in_full_and_all_are_counted(client: httpx.Client) -> None:
    lines = "\n".join([json.dumps(BAD)] * 1_100)
    with client:
        report = client.post("/v1/jobs/bulk", content=lines, headers={"X-ImageQueue-Check": "warn"}).json()
    assert (report["jobs"], report["flagged"], len(report["findings"])) == (1_100, 1_100, 1_000)


@pytest.mark.parametrize("stream", [False, True])
def test_the_image_apis_answer_has_findings_in_a_header(stack: Stack, stream: bool) -> None:  # noqa: FBT001 - a parameter
    ask = {"model": "gpt-image-2", "prompt": BAD["prompt"], "quality": "low", "stream": stream}
    with stack.client("submitter") as client:
        plain = client.post("/v1/images/generations", json=ask)
        assert "x-imagequeue-findings" not in plain.headers
        told = client.post("/v1/images/generations", json=ask, headers={"X-ImageQueue-Check": "warn"})
        assert told.status_code == 200
        assert [one["code"] for one in json.loads(told.headers["x-imagequeue-findings"])] == ["conflicting_styles"]
        ask |= {"prompt": GOOD["prompt"], "partial_images": 1} if stream else {"prompt": GOOD["prompt"]}
        fine = client.post("/v1/images/generations", json=ask, headers={"X-ImageQueue-Check": "warn"})
        assert json.loads(fine.headers["x-imagequeue-findings"]) == []


def test_the_official_client_raises_what_the_check_refuses_and_nothing_is_queued(stack: Stack) -> None:
    tenant = f"t{uuid4().hex}"
    headers = {"X-ImageQueue-Check": "block", "X-ImageQueue-Tenant": tenant}
    png = io.BytesIO()
    Image.new("RGB", (64, 64)).save(png, "PNG")
    token = stack.tokens["submitter"]
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=token, max_retries=0, default_headers=headers) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            client.images.generate(model="gpt-image-2", prompt=str(BAD["prompt"]))
        assert (refused.value.param, "conflicting_styles" in refused.value.message) == ("prompt", True)
        with pytest.raises(openai.BadRequestError) as edit:
            client.images.edit(model="gpt-image-2", prompt="a close-up wide shot of a dog", image=png.getvalue())
        assert "conflicting_framing" in edit.value.message
        with stack.client("admin") as admin:
            assert admin.get("/v1/jobs", params={"tenant": tenant}).json()["jobs"] == []
        with pytest.deprecated_call():
            varied = client.images.with_raw_response.create_variation(image=png.getvalue(), model="dall-e-2")
        assert json.loads(varied.headers["x-imagequeue-findings"]) == []


def test_a_header_is_bounded_and_always_json() -> None:
    found = [*check_prompt('a sign that says "' + "Z\u00fcrich " * 3_000 + '"', edits=False)] * 30
    text = header_text(found)
    assert text.isascii()
    assert len(text) <= FINDINGS_HEADER_BYTES_MAX
    assert {one["code"] for one in json.loads(text)} == {finding.code for finding in found} == {"long_text"}
    assert json.loads(header_text(())) == []


def test_what_is_not_checked_at_the_door_is_queued_as_before(client: httpx.Client) -> None:
    with client:
        assert submit(client, prompt=BAD["prompt"], not_before=BAD["not_before"])
