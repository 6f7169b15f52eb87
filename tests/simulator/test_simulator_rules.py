"""The simulator refuses what the provider's models do not take, and names the parameter."""

from collections.abc import Mapping

import httpx
import pytest

from imagequeue.config.catalog import load_catalog
from imagequeue.simulator import asked
from imagequeue.simulator.config import SimulatedOrg, SimulatorConfig
from imagequeue.simulator.process import RunningSimulator, running_simulator
from imagequeue.simulator.refusals import ApiError, RefusalError

CATALOG = load_catalog()


def refusal(fields: Mapping[str, object], operation: asked.Operation = "generation") -> ApiError:
    with pytest.raises(RefusalError) as caught:
        asked.read({"prompt": "a red fox", **fields}, operation, CATALOG)
    return caught.value.error


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "dall-e-3", "n": 2}, "n"),
        ({"model": "dall-e-3", "size": "512x512"}, "size"),
        ({"model": "dall-e-3", "size": "1536x1024"}, "size"),
        ({"model": "dall-e-3", "quality": "high"}, "quality"),
        ({"model": "dall-e-3", "style": "baroque"}, "style"),
        ({"model": "dall-e-3", "prompt": "x" * 4001}, "prompt"),
        ({"model": "dall-e-3", "response_format": "png"}, "response_format"),
        ({"model": "dall-e-3", "background": "transparent"}, "background"),
        ({"model": "dall-e-2", "quality": "hd"}, "quality"),
        ({"model": "gpt-image-2", "quality": "hd"}, "quality"),
        ({"model": "gpt-image-2", "size": "1000x1000"}, "size"),
        ({"model": "gpt-image-2", "n": 11}, "n"),
        ({"model": "gpt-image-2", "style": "vivid"}, "style"),
        ({"model": "gpt-image-2", "response_format": "b64_json"}, "response_format"),
        ({"model": "gpt-image-2", "prompt": "   "}, "prompt"),
        ({"model": "gpt-image-2", "prompt": 3}, "prompt"),
        ({"model": "gpt-image-2", "background": "transparent", "output_format": "jpeg"}, "background"),
        ({"model": "gpt-image-2", "stream": "yes"}, "stream"),
        ({"model": "gpt-image-2", "partial_images": 1}, "partial_images"),
        ({"model": "dall-e-3", "stream": True}, "stream"),
        ({"model": "gpt-image-2", "colour": "blue"}, "colour"),
        ({"model": "gpt-image-2", "images": [{"file_id": "a"}]}, "images"),
        ({}, "model"),
    ],
)
def test_a_wrong_parameter_is_named(fields: Mapping[str, object], param: str) -> None:
    error = refusal(fields)
    assert (error.status, error.param) == (400, param)


@pytest.mark.parametrize("images", [None, [], [{"file_id": "a"}] * 17, ["a"], [{"file_id": "a", "image_url": "b"}]])
def test_an_edit_needs_its_images(images: object) -> None:
    error = refusal({"model": "gpt-image-2", "images": images}, "edit")
    assert error.status == 400
    assert error.param in ("image", "images")


def test_an_unknown_model_is_not_found() -> None:
    error = refusal({"model": "dall-e-9"})
    assert (error.status, error.code) == (404, "model_not_found")


def test_nulls_count_as_absent_and_auto_is_picked() -> None:
    """The answer then says which size and quality were picked."""
    fields = {"model": "gpt-image-2", "prompt": "a fox", "n": None, "size": "auto", "quality": "auto", "style": None}
    read = asked.read(fields, "generation", CATALOG)
    assert (read.n, read.size, read.quality) == (1, "1024x1024", "medium")


def test_a_free_size_is_made_as_asked() -> None:
    read = asked.read({"model": "gpt-image-2", "prompt": "a fox", "size": "2048x1152"}, "generation", CATALOG)
    assert (read.width, read.height) == (2048, 1152)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"text"', b'{"n": NaN}', b"\xff\xfe"])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RefusalError) as caught:
        asked.decode(body)
    assert caught.value.error.status == 400


@pytest.mark.parametrize("value", ["x" * 513, "caf\u00e9"])
def test_a_bad_client_request_id_is_refused(value: str) -> None:
    with pytest.raises(RefusalError):
        asked.check_client_request_id(value)


def test_a_retired_model_and_one_beyond_the_tier_are_not_found() -> None:
    org = SimulatedOrg(tier="free")
    config = SimulatorConfig(orgs=(SimulatedOrg(name="paid"), org), retired_models=("dall-e-2",))
    with running_simulator(config) as running:
        assert status(running, "sk-sim-paid", "dall-e-2") == (404, "model_not_found")
        assert status(running, "sk-sim-paid", "dall-e-3") == (200, None)
        assert status(running, "sk-sim-main", "dall-e-3") == (404, "model_not_found")


def status(running: RunningSimulator, key: str, model: str) -> tuple[int, str | None]:
    headers = {"Authorization": f"Bearer {key}"}
    body = {"model": model, "prompt": "a fox"}
    answer = httpx.post(f"{running.base_url}/images/generations", json=body, headers=headers)
    return answer.status_code, answer.json().get("error", {}).get("code")
