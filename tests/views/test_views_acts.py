"""Cancel, retry and keep: what they change in Redis and in the ledger, and when they are not possible."""

import pytest
from views_stage import Stage, on_stage

from imagequeue.config.errors import NotFound
from imagequeue.config.settings import Settings
from imagequeue.queue.acts import NotPossible


def test_a_queued_job_is_cancelled_at_once_in_both_books(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        first, second = await stage.put(2)
        acted = await stage.client.cancel(first)
        assert (acted.status, acted.changed) == ("cancelled", True)
        outcomes = await (await stage.queue.ledger()).outcomes([first])
        assert outcomes[first].status == "cancelled"
        assert [claim.id for claim in await stage.claim(5)] == [second]
        assert not (await stage.client.cancel(first)).changed

    on_stage(settings, play)


def test_a_running_job_is_only_asked_to_stop(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        (claim,) = await stage.claim()
        acted = await stage.client.cancel(job_id)
        assert (acted.status, acted.changed) == ("running", True)
        await stage.finish(claim)
        assert (await stage.client.cancel(job_id)).note == "ended before (succeeded)"
        assert (await stage.client.get(job_id)).status == "succeeded"

    on_stage(settings, play)


@pytest.mark.parametrize("end", ["failed", "cancelled", "expired"])
def test_a_job_that_ended_without_images_can_be_tried_again_and_succeed(settings: Settings, end: str) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        if end == "cancelled":
            await stage.client.cancel(job_id)
        else:
            await stage.fail((await stage.claim())[0], "expired" if end == "expired" else "http_500")
        assert (await stage.client.get(job_id)).status == end
        assert (await stage.client.retry(job_id, priority="high")).changed
        view = await stage.client.get(job_id)
        assert (view.status, view.error, view.job["priority"]) == ("queued", None, "high")
        (claim,) = await stage.claim()
        assert (claim.id, claim.kind, claim.queue) == (job_id, "run", "dall-e-3.high")
        await stage.finish(claim)
        assert (await stage.client.get(job_id)).status == "succeeded"

    on_stage(settings, play)


def test_a_parked_job_is_released(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        await stage.park((await stage.claim())[0])
        assert (await stage.client.retry(job_id)).changed
        assert [claim.id for claim in await stage.claim()] == [job_id]

    on_stage(settings, play)


def test_a_queued_job_changes_its_priority_only_when_asked(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        assert not (await stage.client.retry(job_id)).changed
        assert (await stage.client.retry(job_id, priority="low")).note == "moved to priority low"
        assert (await stage.claim())[0].queue == "dall-e-3.low"

    on_stage(settings, play)


def test_a_succeeded_or_running_job_is_not_tried_again(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        (claim,) = await stage.claim()
        with pytest.raises(NotPossible, match="is running"):
            await stage.client.retry(job_id)
        await stage.finish(claim)
        with pytest.raises(NotPossible, match="is succeeded"):
            await stage.client.retry(job_id)

    on_stage(settings, play)


def test_a_job_that_only_the_ledger_knows_cannot_be_tried_again(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        await stage.fail((await stage.claim())[0])
        await stage.queue.redis.delete(settings.keys.job(job_id))
        with pytest.raises(NotPossible, match="enqueue it anew"):
            await stage.client.retry(job_id)
        with pytest.raises(NotFound):
            await stage.client.cancel("nope")

    on_stage(settings, play)


def test_kept_images_are_noted_and_others_are_not_found(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        await stage.finish((await stage.claim())[0])
        await stage.client.keep(job_id)
        outcome = (await (await stage.queue.ledger()).outcomes([job_id]))[job_id]
        assert outcome.kept == ("ab" * 32,)
        with pytest.raises(NotFound):
            await stage.client.keep(job_id, ["cd" * 32])

    on_stage(settings, play)
