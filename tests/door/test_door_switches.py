"""A pool's switch and a job's priority over HTTP."""

import httpx
import pytest
from door_stack import Stack

pytestmark = pytest.mark.xdist_group("door")

POOL = "/v1/pools/main/dall-e-2"
LATER = "2999-01-01T00:00:00Z"


def suspended(client: httpx.Client) -> bool:
    """Return whether the status shows the pool suspended, once it is as old as the switch."""
    answer = client.get("/v1/status").json()
    return any(pool["name"] == "main|dall-e-2" and pool["suspended"] for pool in answer["pools"])


def test_an_admin_suspends_and_resumes_a_pool_as_often_as_they_like(stack: Stack) -> None:
    with stack.client("admin") as admin:
        try:
            answers = [admin.post(f"{POOL}/suspend", json={"reason": "weekend", "minutes": 5}) for _ in range(2)]
            assert [answer.json() for answer in answers] == [
                {"pool": "main|dall-e-2", "suspended": True, "changed": changed} for changed in (True, False)
            ]
            job = admin.post("/v1/jobs", json={"prompt": "x", "model": "dall-e-2"}).json()
            shown = admin.get(f"/v1/jobs/{job['id']}").json()
            assert shown["waiting"]["detail"] == "main|dall-e-2 is suspended: weekend"
            assert shown["waiting"]["until"] is not None
        finally:
            answers = [admin.post(f"{POOL}/resume") for _ in range(2)]
        assert [answer.json()["changed"] for answer in answers] == [True, False]
        assert admin.get(f"/v1/jobs/{job['id']}", params={"wait": 20}).json()["status"] == "succeeded"


@pytest.mark.parametrize("act", ["suspend", "resume"])
@pytest.mark.parametrize("who", ["reader", "submitter", "red"])
def test_others_may_not(stack: Stack, who: str, act: str) -> None:
    with stack.client(who) as client, stack.client("admin") as admin:
        assert client.post(f"{POOL}/{act}").status_code == 403
        assert not suspended(admin)


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/v1/pools/main/nothing/suspend", {}, 404, None),
        ("/v1/pools/nobody/dall-e-2/resume", {}, 404, None),
        (f"{POOL}/suspend", {"minutes": -1}, 400, "minutes"),
        (f"{POOL}/suspend", {"minutes": True}, 400, "minutes"),
        (f"{POOL}/suspend", {"reason": ""}, 400, "reason"),
        (f"{POOL}/suspend", {"why": "x"}, 400, "why"),
        (f"{POOL}/resume", {"reason": "x"}, 400, "reason"),
    ],
)
def test_what_is_wrong_is_named(stack: Stack, path: str, body: object, status: int, param: str | None) -> None:
    with stack.client("admin") as admin:
        answer = admin.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_a_delayed_job_changes_its_priority_and_keeps_its_time(client: httpx.Client) -> None:
    job_id = client.post("/v1/jobs", json={"prompt": "x", "model": "dall-e-3", "not_before": LATER}).json()["id"]
    moved = client.post(f"/v1/jobs/{job_id}/priority", json={"priority": "high"}).json()
    assert (moved["status"], moved["changed"]) == ("waiting", True)
    shown = client.get(f"/v1/jobs/{job_id}").json()
    assert (shown["job"]["priority"], shown["status"]) == ("high", "waiting")
    assert shown["waiting"]["until"].startswith("2999-01-01T00:00:00")
    assert client.post(f"/v1/jobs/{job_id}/priority", json={}).json()["error"]["param"] == "priority"
    assert client.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert client.post(f"/v1/jobs/{job_id}/priority", json={"priority": "low"}).status_code == 409
