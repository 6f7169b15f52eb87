"""Every answer of the simulator has the shape and the headers that the provider publishes."""

import base64
import json
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # comes without types

from imagequeue.config.catalog import load_catalog
from imagequeue.simulator.faults import Fault, Refusal
from imagequeue.simulator.process import RunningSimulator

SCHEMAS: dict[str, Any] = json.loads(Path(__file__).with_name("openai-answers.json").read_text())
MODELS = sorted(load_catalog().models)
PAGES = {"bad_gateway", "gateway_timeout"}
NO_ANSWER = {"reset", "hang"}


def check(name: str, value: object) -> None:
    """Fail unless `value` has the published shape `name`."""
    Draft202012Validator({**SCHEMAS, "$ref": f"#/components/schemas/{name}"}).validate(value)


def ask(running: RunningSimulator, path: str = "/images/generations", **body: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {running.api_key}"}
    return httpx.post(running.base_url + path, json={"prompt": "a red fox", **body}, headers=headers, timeout=30)


def admin(running: RunningSimulator, path: str, **query: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {running.admin_key}"}
    return httpx.get(f"{running.base_url}/organization/{path}", params=query, headers=headers)  # type: ignore[arg-type]  # plain values


def dimensions(file: bytes) -> tuple[int, int]:
    return int.from_bytes(file[16:20]), int.from_bytes(file[20:24])


@pytest.mark.parametrize("model", MODELS)
def test_every_model_answers_in_the_published_shape(simulator: RunningSimulator, model: str) -> None:
    """Both kinds: models priced per image and models priced by tokens, with usage only for the latter."""
    record = load_catalog().model(model)
    wants = {"response_format": "b64_json"} if record.accepts.response_format else {"size": "1536x1024"}
    answer = ask(simulator, model=model, **wants)
    assert answer.status_code == 200, answer.text
    check("ImagesResponse", answer.json())
    assert ("usage" in answer.json()) == (record.priced_by == "token")
    size = (1024, 1024) if record.accepts.response_format else (1536, 1024)
    assert dimensions(base64.b64decode(answer.json()["data"][0]["b64_json"])) == size


@pytest.mark.parametrize(
    ("output_format", "begin"), [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF")]
)
def test_the_file_is_of_the_format_asked_for(simulator: RunningSimulator, output_format: str, begin: bytes) -> None:
    answer = ask(simulator, model="gpt-image-2", quality="low", output_format=output_format).json()
    check("ImagesResponse", answer)
    assert answer["output_format"] == output_format
    assert base64.b64decode(answer["data"][0]["b64_json"]).startswith(begin)


def test_answers_carry_the_published_headers(simulator: RunningSimulator) -> None:
    headers = ask(simulator, model="gpt-image-2", quality="low").headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["openai-organization"] == "org-sim-main"
    assert headers["openai-version"] == "2020-10-01"
    assert int(headers["openai-processing-ms"]) >= 0


@pytest.mark.parametrize("kind", sorted(set(get_args(Refusal)) - PAGES - NO_ANSWER))
def test_every_refusal_is_the_published_error_object(own_simulator: RunningSimulator, kind: str) -> None:
    own_simulator.control.set_faults(Fault(kind=kind, retry_after_seconds=7))  # type: ignore[arg-type]  # a kind
    answer = ask(own_simulator, model="dall-e-3")
    check("ErrorResponse", answer.json())
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-request-id"]
    assert own_simulator.control.bill_totals()["nano_usd"] == 0


@pytest.mark.parametrize("kind", sorted(PAGES))
def test_a_proxys_error_is_a_page(own_simulator: RunningSimulator, kind: str) -> None:
    own_simulator.control.set_faults(Fault(kind=kind))  # type: ignore[arg-type]  # a kind
    answer = ask(own_simulator, model="dall-e-3")
    assert answer.status_code in (502, 504)
    assert answer.headers["content-type"].startswith("text/html")


def test_an_edit_takes_uploaded_files(simulator: RunningSimulator) -> None:
    """Multipart, as the official clients send it: images under `image[]`, the mask under `mask`."""
    picture = base64.b64decode(ask(simulator, model="gpt-image-2", quality="low").json()["data"][0]["b64_json"])
    answer = httpx.post(
        f"{simulator.base_url}/images/edits",
        data={"model": "gpt-image-2", "prompt": "a blue fox", "n": "2", "quality": "low"},
        files=[
            ("image[]", ("a.png", picture, "image/png")),
            ("image[]", ("b.png", picture)),
            ("mask", ("m.png", picture)),
        ],
        headers={"Authorization": f"Bearer {simulator.api_key}"},
    )
    assert answer.status_code == 200, answer.text
    check("ImagesResponse", answer.json())
    assert len(answer.json()["data"]) == 2
    assert answer.json()["usage"]["input_tokens_details"]["image_tokens"] > 0


def test_an_edit_takes_references_in_json(simulator: RunningSimulator) -> None:
    images = [{"image_url": "https://example.com/fox.png"}]
    answer = ask(simulator, "/images/edits", model="gpt-image-2", quality="low", images=images)
    assert answer.status_code == 200, answer.text
    assert simulator.control.bill()[-1]["source"] == "image.edit"


def test_an_edit_refuses_a_file_that_is_no_image(simulator: RunningSimulator) -> None:
    answer = httpx.post(
        f"{simulator.base_url}/images/edits",
        data={"model": "gpt-image-2", "prompt": "a blue fox"},
        files={"image": ("a.png", b"hello")},
        headers={"Authorization": f"Bearer {simulator.api_key}"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_image_file"


def test_models_are_listed_and_shown(simulator: RunningSimulator) -> None:
    headers = {"Authorization": f"Bearer {simulator.api_key}"}
    listed = httpx.get(f"{simulator.base_url}/models", headers=headers).json()
    assert sorted(model["id"] for model in listed["data"]) == MODELS
    assert httpx.get(f"{simulator.base_url}/models/dall-e-3", headers=headers).json()["id"] == "dall-e-3"
    missing = httpx.get(f"{simulator.base_url}/models/dall-e-9", headers=headers)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_an_unknown_address_is_a_404_error_object(simulator: RunningSimulator) -> None:
    answer = httpx.post(f"{simulator.base_url}/images/upscales")
    assert answer.status_code == 404
    check("ErrorResponse", answer.json())


def test_costs_usage_and_rate_limits_have_the_published_shape(simulator: RunningSimulator) -> None:
    ask(simulator, model="gpt-image-2", quality="low")
    ask(simulator, model="dall-e-3")
    check("UsageResponse", admin(simulator, "costs", start_time=0, limit=1).json())
    today = int(simulator.control.bill()[-1]["at"])
    grouped = admin(simulator, "costs", start_time=today - 86_400, group_by=["line_item", "project_id"])
    check("UsageResponse", grouped.json())
    assert grouped.json()["data"][-1]["results"]
    usage = admin(simulator, "usage/images", start_time=today - 3600, bucket_width="1h", group_by=["model", "size"])
    check("UsageResponse", usage.json())
    assert usage.json()["data"][-1]["results"]
    check("ProjectRateLimitListResponse", admin(simulator, "projects/proj_main/rate_limits").json())


def test_reports_need_the_admin_key(simulator: RunningSimulator) -> None:
    headers = {"Authorization": f"Bearer {simulator.api_key}"}
    answer = httpx.get(f"{simulator.base_url}/organization/costs", params={"start_time": 0}, headers=headers)
    assert answer.status_code == 401
    assert admin(simulator, "projects/proj_other/rate_limits").status_code == 404
