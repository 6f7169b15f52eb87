"""The life of an attempt: held before its call, resolved once, and what a restart finds."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from ledger_values import NOON, ManualClock, ending, held, image, opened, request, settlement

from imagequeue.config.errors import NotFound
from imagequeue.ledger.api import AlreadyDone, CacheHit, Held, JobFacts, JobFailure, WebhookDue
from imagequeue.ledger.outbox import OutboxQuery

HOOK = WebhookDue(url="https://example.com/hook", event="job.succeeded", payload='{"id": 1}')
FAILURE = JobFailure(code="moderation_blocked", message="refused by the provider")


def test_a_settled_job_has_an_outcome_with_its_images_and_cost(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job")
            assert hold.n == 1
            assert await ledger.settle(hold.attempt_id, settlement(39_000_000, usage={"total_tokens": 9}))
            outcome = (await ledger.outcomes(["job", "unknown"]))["job"]
            assert (outcome.status, outcome.images, outcome.attempt_id) == ("succeeded", (image(),), hold.attempt_id)
            assert outcome.cost is not None
            assert (outcome.cost.usd_nano, outcome.cost.model, outcome.cost.org) == (39_000_000, "dall-e-3", "main")
            (attempt,) = (await ledger.attempts(["job"]))["job"]
            assert (attempt.state, attempt.usd_nano, attempt.status_code) == ("settled", 39_000_000, 200)
            assert (attempt.usage, attempt.ended_at) == ({"total_tokens": 9}, NOON + timedelta(seconds=15))

    asyncio.run(story())


def test_a_job_that_has_ended_is_never_held_again(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job")
            await ledger.settle(hold.attempt_id, settlement())
            for first_delivery in (False, True):  # a wrong promise is noticed
                again = await ledger.hold(request("job", first_delivery=first_delivery))
                assert isinstance(again, AlreadyDone)
                assert again.outcome.status == "succeeded"
            assert len((await ledger.attempts(["job"]))["job"]) == 1

    asyncio.run(story())


def test_a_redelivered_job_puts_the_lost_attempt_in_doubt_and_keeps_its_hold(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            lost = await held(ledger, "job", first_delivery=True)
            second = await held(ledger, "job", first_delivery=True)
            assert (second.n, second.doubted) == (2, (lost.attempt_id,))
            first, now = (await ledger.attempts(["job"]))["job"]
            assert (first.state, now.state) == ("in_doubt", "held")
            total = (await ledger.summary()).total
            assert (total.in_doubt_nano, total.held_nano) == (40_000_000, 40_000_000)

    asyncio.run(story())


def test_a_late_answer_of_a_lost_worker_is_booked_and_the_job_is_not_its_own(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            lost = await held(ledger, "job")
            second = await held(ledger, "job")
            assert not await ledger.settle(lost.attempt_id, settlement(30_000_000))
            assert await ledger.outcomes(["job"]) == {}
            assert await ledger.void(second.attempt_id, ending())
            first, _ = (await ledger.attempts(["job"]))["job"]
            assert (first.state, first.usd_nano, first.images) == ("reconciled", 30_000_000, 1)

    asyncio.run(story())


@pytest.mark.parametrize("first", ["settle", "void", "doubt"])
def test_eight_racers_resolve_an_attempt_once(ledger_url: str, first: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job")
            ways = {
                "settle": lambda: ledger.settle(hold.attempt_id, settlement()),
                "void": lambda: ledger.void(hold.attempt_id, ending()),
                "doubt": lambda: ledger.doubt(hold.attempt_id, ending()),
            }
            order = [first, *[way for way in ways if way != first]]
            won = await asyncio.gather(*(ways[way]() for way in order * 3))
            assert won == [True] + [False] * 8

    asyncio.run(story())


def test_an_unknown_attempt_is_not_found_and_harms_no_other(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger)
            good, bad = await asyncio.gather(
                ledger.settle(hold.attempt_id, settlement()), ledger.settle(7, settlement()), return_exceptions=True
            )
            assert good is True
            assert isinstance(bad, NotFound)

    asyncio.run(story())


def test_a_failure_for_good_is_stored_with_the_voided_attempt(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job")
            assert await ledger.void(hold.attempt_id, ending(status_code=400), FAILURE)
            outcome = (await ledger.outcomes(["job"]))["job"]
            assert outcome.status == "failed"
            assert outcome.cost is None
            assert outcome.error is not None
            assert (outcome.error.code, outcome.error.retryable) == ("moderation_blocked", False)
            assert (await ledger.summary()).total.held_nano == 0

    asyncio.run(story())


def test_a_reopened_failure_can_be_tried_again_and_a_success_cannot(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job")
            await ledger.void(hold.attempt_id, ending(), FAILURE)
            assert await ledger.reopen("job")
            assert not await ledger.reopen("job")
            assert await ledger.outcomes(["job"]) == {}
            again = await held(ledger, "job")
            assert again.n == 2
            assert await ledger.settle(again.attempt_id, settlement())
            assert (await ledger.outcomes(["job"]))["job"].status == "succeeded"
            assert not await ledger.reopen("job")

    asyncio.run(story())


def test_the_first_outcome_of_a_job_stands(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            facts = JobFacts(model="dall-e-3", tenant="team", tags={"project": "x"})
            cancelled = JobFailure(code="cancelled", message="by its owner", status="cancelled")
            assert await ledger.record_outcome("job", cancelled, facts)
            assert not await ledger.record_outcome("job", FAILURE, facts)
            assert isinstance(await ledger.hold(request("job")), AlreadyDone)
            assert (await ledger.outcomes(["job"]))["job"].status == "cancelled"

    asyncio.run(story())


def test_a_cache_hit_costs_nothing_and_counts_what_it_saved(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hit = CacheHit(images=(image(),), saved_nano=40_000_000)
            assert await ledger.record_outcome("job", hit, JobFacts(model="dall-e-3", org="main"))
            assert not await ledger.record_outcome("job", hit, JobFacts(model="dall-e-3", org="main"))
            outcome = (await ledger.outcomes(["job"]))["job"]
            assert (outcome.cached, outcome.saved_nano, outcome.images) == (True, 40_000_000, (image(),))
            total = (await ledger.summary()).total
            assert (total.cache_hits, total.saved_nano, total.settled_nano) == (1, 40_000_000, 0)

    asyncio.run(story())


def test_a_real_zero_stays_zero(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job")
            await ledger.settle(hold.attempt_id, settlement(0, usage={"total_tokens": 0}))
            (attempt,) = (await ledger.attempts(["job"]))["job"]
            assert (attempt.usd_nano, attempt.usage) == (0, {"total_tokens": 0})
            outcome = (await ledger.outcomes(["job"]))["job"]
            assert outcome.cost is not None
            assert outcome.cost.usd_nano == 0

    asyncio.run(story())


def test_a_cost_above_its_hold_is_booked_in_full_and_shows(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job")
            await ledger.settle(hold.attempt_id, settlement(50_000_000))
            total = (await ledger.summary()).total
            assert (total.settled_nano, total.over_bound, total.over_bound_nano) == (50_000_000, 1, 10_000_000)
            assert any("more than was held" in note for note in (await ledger.audit()).notes)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("decision", "usd_nano", "cost"),
    [("billed", None, 40_000_000), ("billed", 25_000_000, 25_000_000), ("not_billed", None, 0)],
)
def test_a_person_decides_an_attempt_in_doubt_once(
    ledger_url: str, decision: str, usd_nano: int | None, cost: int
) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job")
            assert not await ledger.resolve(hold.attempt_id, "billed", reason="too early", by="ann")
            await ledger.doubt(hold.attempt_id, ending(status_code=None, error_code="timeout", sent_at=NOON))
            decide = {"reason": "seen on the invoice", "by": "ann"}
            assert await ledger.resolve(hold.attempt_id, decision, usd_nano, **decide)  # type: ignore[arg-type]  # parametrized
            assert not await ledger.resolve(hold.attempt_id, "billed", reason="again", by="bob")
            (attempt,) = (await ledger.attempts(["job"]))["job"]
            assert (attempt.state, attempt.usd_nano) == ("reconciled", cost)
            assert (attempt.error_code, attempt.sent_at) == ("timeout", NOON)
            assert attempt.reason == "seen on the invoice (by ann)"

    asyncio.run(story())


def test_what_a_hostile_server_says_is_stored_as_text(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job")
            said = ending(error_message="a\x00b\ud800c" + "x" * 10_000, request_id="'; DROP TABLE ledger_entry; --")
            failure = JobFailure(code="bad", message="\x00")
            assert await ledger.doubt(hold.attempt_id, said, failure)
            (attempt,) = (await ledger.attempts(["job"]))["job"]
            assert attempt.error_message is not None
            assert attempt.error_message.startswith("a\ufffdb\ufffdcxxx")
            assert len(attempt.error_message) == 4_000

    asyncio.run(story())


def test_a_message_is_due_once_its_outcome_is_stored_and_until_it_is_delivered(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            hold = await held(ledger, "job")
            assert await ledger.claim_webhooks(10, 30) == ()
            await ledger.settle(hold.attempt_id, replace(settlement(), webhooks=(HOOK,)))
            (due,) = await ledger.claim_webhooks(10, 30)
            assert (due.job_id, due.url, due.payload, due.tries) == ("job", HOOK.url, HOOK.payload, 1)
            assert await ledger.claim_webhooks(10, 30) == ()
            clock.forward(seconds=30)
            (again,) = await ledger.claim_webhooks(10, 30)
            assert again.tries == 2
            await ledger.webhook_failed(again, "503", clock.now() + timedelta(minutes=5))
            clock.forward(minutes=4)
            assert await ledger.claim_webhooks(10, 30) == ()
            clock.forward(minutes=1)
            (last,) = await ledger.claim_webhooks(10, 30)
            assert await ledger.webhook_delivered(last)
            clock.forward(days=1)
            assert await ledger.claim_webhooks(10, 30) == ()

    asyncio.run(story())


def test_kept_images_replace_what_was_kept_before(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job", images=2)
            await ledger.settle(hold.attempt_id, settlement(images=(image("aa" * 32), image("bb" * 32))))
            assert await ledger.keep("job")
            assert (await ledger.summary()).total.kept_images == 2
            assert await ledger.keep("job", ["bb" * 32])
            assert (await ledger.outcomes(["job"]))["job"].kept == ("bb" * 32,)
            with pytest.raises(NotFound, match="image"):
                await ledger.keep("job", ["cc" * 32])
            with pytest.raises(NotFound, match="no images"):
                await ledger.keep("other")
            total = (await ledger.summary()).total
            assert (total.images, total.kept_images) == (2, 1)

    asyncio.run(story())


def test_a_hold_names_what_is_wrong_with_it(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            with pytest.raises(ValueError, match="upper_bound_nano"):
                await ledger.hold(request(upper_bound_nano=-1))
            with pytest.raises(ValueError, match="images"):
                await ledger.hold(request(images=0))
            assert isinstance(await ledger.hold(request()), Held)

    asyncio.run(story())


def test_an_outcome_without_an_attempt_says_whose_job_it_was(ledger_url: str) -> None:
    facts = JobFacts(model="dall-e-3", tenant="shop", priority="low", tags={"a": "b"}, intent="cover")

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            await ledger.record_outcome("job", JobFailure(code="x", message="y", status="cancelled"), facts)
            assert (await ledger.outcomes(["job"]))["job"].facts == facts

    asyncio.run(story())


def test_the_outbox_leaves_urls_out_and_tells_its_figures(ledger_url: str) -> None:
    other = replace(HOOK, url="https://other.example/")
    failure = JobFailure(code="x", message="y", webhooks=(HOOK, other))

    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            await ledger.record_outcome("job", failure, JobFacts(tenant="shop"))
            assert await ledger.webhooks_due()
            (taken,) = await ledger.claim_webhooks(10, 30, without=[HOOK.url])
            assert taken.url == other.url
            assert await ledger.webhook_failed(taken, "503", clock.now() + timedelta(minutes=5))
            clock.forward(seconds=60)
            figures = await ledger.outbox()
            assert (figures.waiting, figures.retrying, figures.overdue_seconds) == (2, 1, 60)
            (shown,) = await ledger.webhooks(OutboxQuery(tenant="shop", state="retrying", url_prefix="https://other"))
            assert (shown.state, shown.tries, shown.last_error) == ("retrying", 1, "503")
            assert await ledger.webhooks(OutboxQuery(tenant="another")) == ()

    asyncio.run(story())


def test_a_failure_told_late_changes_nothing_and_a_redelivery_starts_anew(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            await ledger.record_outcome("job", JobFailure(code="x", message="y", webhooks=(HOOK,)), JobFacts())
            (late,) = await ledger.claim_webhooks(10, 30)
            clock.forward(seconds=30)
            (second,) = await ledger.claim_webhooks(10, 30)
            assert not await ledger.webhook_failed(late, "timeout", None)
            assert await ledger.webhook_delivered(second)
            assert not await ledger.webhook_failed(second, "timeout", None)
            (shown,) = await ledger.webhooks(OutboxQuery(job_id="job"))
            assert shown.state == "delivered"
            assert not await ledger.webhooks_due()
            assert await ledger.redeliver_webhooks([second.webhook_id, 1]) == 1
            (again,) = await ledger.claim_webhooks(10, 30)
            assert (again.webhook_id, again.tries) == (second.webhook_id, 1)
            assert await ledger.webhook_failed(again, "gone", None)
            assert [one.state for one in await ledger.webhooks(OutboxQuery(state="given_up"))] == ["given_up"]

    asyncio.run(story())
