"""The prompt check at the door: said with the answer, or a refusal, as the request asks."""

import httpx
import pytest
from door_stack import Stack

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
