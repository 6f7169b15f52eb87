"""The provider's official client works against the simulator, and its errors are the client's own classes."""

import base64

import httpx
import openai
import pytest

from imagequeue.simulator.faults import Fault
from imagequeue.simulator.process import RunningSimulator

PNG = b"\x89PNG\r\n\x1a\n"


def client_of(running: RunningSimulator, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=running.base_url, api_key=key or running.api_key, max_retries=0, timeout=10)


def test_an_image_comes_as_base64(simulator: RunningSimulator) -> None:
    with client_of(simulator) as client:
        answer = client.images.generate(model="gpt-image-2", prompt="a lighthouse", quality="low", size="1024x1536")
    assert answer.data is not None
    file = base64.b64decode(answer.data[0].b64_json or "")
    assert file.startswith(PNG)
    assert (int.from_bytes(file[16:20]), int.from_bytes(file[20:24])) == (1024, 1536)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_an_image_comes_as_a_link_to_the_simulator(simulator: RunningSimulator) -> None:
    with client_of(simulator) as client:
        answer = client.images.generate(model="dall-e-3", prompt="a lighthouse", size="1792x1024")
    assert answer.data is not None
    assert answer.data[0].revised_prompt
    file = httpx.get(answer.data[0].url or "")
    assert file.headers["content-type"] == "image/png"
    assert file.content.startswith(PNG)


def test_an_unknown_key_is_an_authentication_error(simulator: RunningSimulator) -> None:
    with client_of(simulator, "sk-nobody") as client, pytest.raises(openai.AuthenticationError) as caught:
        client.images.generate(model="dall-e-3", prompt="a lighthouse")
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("rate_limit", openai.RateLimitError, "rate_limit_exceeded"),
        ("insufficient_quota", openai.RateLimitError, "insufficient_quota"),
        ("model_not_found", openai.NotFoundError, "model_not_found"),
        ("policy", openai.BadRequestError, "moderation_blocked"),
        ("unverified", openai.PermissionDeniedError, None),
        ("server_error", openai.InternalServerError, None),
        ("overloaded", openai.InternalServerError, "server_is_overloaded"),
        ("conflict", openai.ConflictError, None),
    ],
)
def test_errors_are_the_clients_own(
    own_simulator: RunningSimulator, kind: str, error: type[openai.APIStatusError], code: str | None
) -> None:
    own_simulator.control.set_faults(Fault(kind=kind))  # type: ignore[arg-type]  # the kinds are the parameters above
    with client_of(own_simulator) as client, pytest.raises(error) as caught:
        client.images.generate(model="gpt-image-2", prompt="a lighthouse")
    assert caught.value.code == code
    assert caught.value.request_id is not None
    assert caught.value.request_id == own_simulator.control.bill()[-1]["request_id"]


def test_a_reset_connection_is_a_connection_error(own_simulator: RunningSimulator) -> None:
    own_simulator.control.set_faults(Fault(kind="reset"))
    with client_of(own_simulator) as client, pytest.raises(openai.APIConnectionError):
        client.images.generate(model="gpt-image-2", prompt="a lighthouse")
