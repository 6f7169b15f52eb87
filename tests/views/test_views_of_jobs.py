"""A job view tells what Redis and the ledger know, in the one shape that every door shows."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from views_stage import IMAGE, MODEL, Stage, on_stage

from imagequeue.config.errors import JobRefused, NotFound
from imagequeue.config.settings import Settings
from imagequeue.queue.record import FIELDS, record_of
from imagequeue.queue.views import ENDED, view_of_record

SHAPE = {"id", "status", "waiting", "job", "images", "cost", "attempts", "error", "timings"}
STATUSES = {"queued", "waiting", "running", "succeeded", "failed", "cancelled", "expired"}


@given(st.lists(st.one_of(st.none(), st.binary(max_size=40)), min_size=len(FIELDS), max_size=len(FIELDS)))
def test_whatever_stands_in_a_job_hash_is_shown_and_never_raises(values: list[bytes | None]) -> None:
    view = view_of_record(record_of("x", values), None, (), waiting=None, link=lambda _: "")
    document = json.loads(json.dumps(view.as_json()))
    assert document.keys() == SHAPE
    assert document["status"] in STATUSES
    assert document["job"].keys() >= {"model", "priority", "tenant"}


def test_a_succeeded_job_shows_images_cost_attempts_and_times(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put(tags={"campaign": "spring"}, priority="high")
        (claim,) = await stage.claim()
        running = await stage.client.get(job_id)
        assert (running.status, running.ended) == ("running", False)
        await stage.finish(claim)
        document = json.loads(json.dumps((await stage.client.get(job_id)).as_json()))
        assert document.keys() == SHAPE
        assert document["status"] == "succeeded"
        assert document["cost"] == {"usd": "0.040000000", "model": MODEL, "org": "main", "delivery": "now"}
        (image,) = document["images"]
        assert image["url"] == f"{settings.store_url}/ab/{'ab' * 32}.png"
        assert (image["width"], image["revised_prompt"]) == (1024, "a fox")
        (attempt,) = document["attempts"]
        assert attempt.items() >= {"n": 1, "state": "settled", "usd": "0.040000000", "status_code": 200}.items()
        assert document["job"].items() >= {"priority": "high", "tags": {"campaign": "spring"}, "cache": "off"}.items()
        assert document["timings"]["queued_s"] >= 0

    on_stage(settings, play)


def test_images_are_linked_below_the_public_address(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        await stage.finish((await stage.claim())[0])
        assert (await stage.client.get(job_id)).images[0].url == f"https://cdn.example/v1/images/{IMAGE.sha256}"

    on_stage(settings.model_copy(update={"public_url": "https://cdn.example/"}), play)


def test_a_failed_job_says_why_and_an_expired_one_is_called_so(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        failed, expired = await stage.put(2)
        await stage.fail((await stage.claim())[0])
        await stage.fail((await stage.claim())[0], "expired")
        shown = (await stage.client.get(failed)).as_json()
        assert (shown["status"], shown["error"]) == (
            "failed",
            {"code": "content_policy_violation", "message": "no", "retryable": False},
        )
        assert (await stage.client.get(expired)).status == "expired"

    on_stage(settings, play)


def test_a_waiting_job_says_for_what_and_until_when(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        backoff, parked, later = await stage.put(3)
        first, second, third = await stage.claim(3)
        await stage.give_back(
            first, 60_000_000, {"reason": "backoff", "until": "2027-01-01T00:00:00.000000Z", "detail": "http_500"}
        )
        await stage.park(second)
        assert third.id == later
        waits = [(await stage.client.get(job_id)).waiting for job_id in (backoff, parked)]
        assert waits[0] is not None
        assert waits[1] is not None
        assert (waits[0].reason, waits[0].until) == ("backoff", datetime(2027, 1, 1, tzinfo=UTC))
        assert (waits[1].reason, waits[1].until, waits[1].detail) == ("doubt", None, "never answered")

    on_stage(settings, play)


def test_a_job_for_later_waits_until_its_time(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        moment = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
        (job_id,) = await stage.put(not_before=moment.isoformat())
        waiting = (await stage.client.get(job_id)).waiting
        assert waiting is not None
        assert waiting.until == moment

    on_stage(settings, play)


def test_a_job_that_redis_has_forgotten_is_shown_from_the_ledger(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        await stage.finish((await stage.claim())[0])
        await stage.queue.redis.delete(settings.keys.job(job_id))
        view = await stage.client.get(job_id)
        assert (view.status, len(view.images), view.job["model"]) == ("succeeded", 1, MODEL)
        assert "prompt" not in view.job

    on_stage(settings, play)


def test_an_unknown_job_is_not_found_and_an_impossible_id_refused(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        with pytest.raises(NotFound, match="there is none of this id"):
            await stage.client.get("nope")
        with pytest.raises(JobRefused, match="id: 1 to 64 letters"):
            await stage.client.get("../../etc")

    on_stage(settings, play)


def test_ended_statuses_are_those_of_the_contract() -> None:
    assert {"succeeded", "failed", "cancelled", "expired"} == ENDED
