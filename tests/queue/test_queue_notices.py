"""What a webhook says: small enough for the standard whatever a job holds, and never the prompt unless asked."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from imagequeue.config.job import Job
from imagequeue.config.webhooks import Webhook, new_secret
from imagequeue.ledger.api import AttemptRow, ImageRecord, JobCost, JobError, JobFacts, Outcome
from imagequeue.queue.notices import PAYLOAD_BYTES_MAX, notices
from imagequeue.queue.views import view_of_ledger

NOW = datetime(2026, 11, 22, tzinfo=UTC)
URL = "https://shop.example/hooks"


def endpoint(**changes: Any) -> Webhook:
    values = {"name": "shop", "url": URL, "secrets": (SecretStr(new_secret()),)}
    return Webhook.model_validate(values | changes)


def image(number: int, revised: str | None = None) -> ImageRecord:
    return ImageRecord(sha256=f"{number:064x}", bytes=10, width=1, height=1, format="png", revised_prompt=revised)


def attempt(number: int, text: str = "") -> AttemptRow:
    return AttemptRow(
        attempt_id=number, job_id="job", n=number, org="main", model="dall-e-3", tenant="shop", priority="default",
        delivery="now", operation="generation", size=None, quality=None, intent=None, tags={}, state="voided",
        upper_bound_nano=0, usd_nano=0, images=0, catalog_version="", held_at=NOW, sent_at=NOW, ended_at=NOW,
        status_code=500, error_code=text[:512], error_message=text, request_id=text[:512], client_request_id=None,
        usage=None, reason=None,
    )  # fmt: skip


def outcome(**changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "job_id": "job",
        "status": "succeeded",
        "finished_at": NOW,
        "facts": JobFacts(tenant="shop"),
    }
    return Outcome(**(values | changes))


def told(
    job: Job, ended: Outcome, *attempts: AttemptRow, base_url: str | None = None, **changes: Any
) -> dict[str, Any]:
    (message,) = notices(job, ended, attempts, [endpoint(**changes)], base_url=base_url)
    assert len(message.payload.encode()) <= PAYLOAD_BYTES_MAX
    payload: dict[str, Any] = json.loads(message.payload)
    assert (message.url, message.event) == (URL, payload["type"])
    return payload


def test_a_message_has_type_timestamp_and_the_job_view() -> None:
    cost = JobCost(usd_nano=40_000_000, model="dall-e-3", org="main", delivery="now")
    payload = told(Job(prompt="secret", tenant="shop"), outcome(images=(image(1),), cost=cost))
    assert list(payload) == ["type", "timestamp", "data"]
    assert payload["timestamp"] == "2026-11-22T00:00:00.000000Z"
    data = payload["data"]
    keys = {"id", "status", "waiting", "job", "images", "cost", "attempts", "error", "timings"}
    assert set(data) == keys
    assert data["images"][0]["url"] == f"/v1/images/{1:064x}"
    assert data["cost"]["usd"] == "0.040000000"
    assert data["job"]["cache"] == "off"
    assert "secret" not in json.dumps(payload)


def test_an_endpoint_that_asked_for_it_gets_the_prompt_and_public_links() -> None:
    ended = outcome(images=(image(1),))
    data = told(Job(prompt="a fox"), ended, prompt=True, base_url="https://cdn.example/")["data"]
    assert data["job"]["prompt"] == "a fox"
    assert data["images"][0]["url"] == f"https://cdn.example/v1/images/{1:064x}"


def test_what_does_not_fit_is_left_out_by_name_the_prompt_first() -> None:
    job = Job(prompt="x" * 30_000, metadata={"note": "kept"})
    data = told(job, outcome(), prompt=True)["data"]
    assert data["left_out"] == ["job.prompt"]
    assert (data["job"]["prompt"], data["job"]["metadata"]) == (None, {"note": "kept"})


@settings(max_examples=30, deadline=None)
@given(
    text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40),
    times=st.integers(1, 400),
    attempts=st.integers(0, 100),
    images=st.integers(0, 10),
)
def test_a_message_is_below_the_standards_size_whatever_the_job_holds(
    text: str, times: int, attempts: int, images: int
) -> None:
    long = (text * times)[:4_000]
    job = Job(
        prompt="p" + long,
        webhook=URL + "/" + "a" * 2_000,
        metadata={"m": long[:2_000]},
        tags={f"t{number}": long[:256] for number in range(32)},
        idempotency_key=("k" + long)[:255],
        intent=("i" + long)[:128],
    )
    error = JobError(code="x" * 512, message=long, retryable=False)
    ended = outcome(status="failed", error=error, images=tuple(image(number, long) for number in range(images)))
    payload = told(job, ended, *(attempt(number, long) for number in range(attempts)), prompt=True)
    assert payload["data"]["id"] == "job"


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled", "expired"])
def test_each_end_is_an_event_and_only_those_asked_for_are_told(status: str) -> None:
    ended = outcome(status=status)
    assert told(Job(prompt="x"), ended)["type"] == f"job.{status}"
    others = [event for event in ("job.succeeded", "job.failed") if event != f"job.{status}"]
    assert notices(Job(prompt="x"), ended, (), [endpoint(events=tuple(others))], base_url=None) == ()


def test_a_tenants_endpoint_hears_of_no_other_tenants_jobs() -> None:
    red = endpoint(tenants=("red",))
    assert notices(Job(prompt="x", tenant="blue"), outcome(), (), [red], base_url=None) == ()
    stolen = Job(prompt="x", tenant="blue", webhook=URL)
    assert notices(stolen, outcome(), (), [red], base_url=None) == ()
    assert len(notices(Job(prompt="x", tenant="red"), outcome(), (), [red], base_url=None)) == 1


def test_a_job_that_only_the_ledger_knows_keeps_its_tenant_without_an_attempt() -> None:
    facts = JobFacts(model="dall-e-3", tenant="shop", priority="low", tags={"a": "b"}, intent="cover")
    view = view_of_ledger("job", outcome(status="expired", facts=facts), (), link=lambda _: "")
    known = {"model": "dall-e-3", "tenant": "shop", "priority": "low", "tags": {"a": "b"}, "intent": "cover"}
    assert view.job == known
