"""Deliveries of one job: a hold for an earlier one than the ledger has seen is refused, so no second call goes out."""

import asyncio

import pytest
from ledger_values import NOON, ending, held, opened, request

from imagequeue.ledger.api import AlreadyDone, Held, JobFacts, JobFailure, Overtaken
from imagequeue.ledger.hold import delivery_of

CANCELLED = JobFailure(code="cancelled", message="by a person", status="cancelled")


@pytest.mark.parametrize(
    ("token", "delivery"), [("host-7-a1-12", 12), ("w-0", 0), ("lease", 0), ("12", 0), ("w-", 0), ("w-x", 0)]
)
def test_the_delivery_is_the_number_at_the_end_of_the_token(token: str, delivery: int) -> None:
    assert delivery_of(token) == delivery


@pytest.mark.parametrize("promised", [False, True])
def test_a_hold_for_an_earlier_delivery_is_refused(ledger_url: str, promised: bool) -> None:  # noqa: FBT001  # pytest gives it
    """Also when it says that it is the first; the later one's attempt stays as it is."""

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            later = await held(ledger, "job", lease_token="b-2")
            stale = await ledger.hold(request("job", lease_token="a-1", first_delivery=promised))
            assert stale == Overtaken(delivery=2)
            (attempt,) = (await ledger.attempts(["job"]))["job"]
            assert (attempt.attempt_id, attempt.state) == (later.attempt_id, "held")
            assert (await ledger.summary()).total.held == 1

    asyncio.run(story())


def test_the_same_delivery_may_hold_again(ledger_url: str) -> None:
    """A job that one pool refused goes on in another, under the same delivery."""

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            first = await held(ledger, "job", lease_token="a-3")
            await ledger.void(first.attempt_id, ending())
            second = await held(ledger, "job", lease_token="a-3")
            assert (second.n, second.doubted) == (2, ())

    asyncio.run(story())


def test_a_first_delivery_notices_a_job_that_ended_without_an_attempt(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            await ledger.record_outcome("job", CANCELLED, JobFacts(model="dall-e-3"))
            answer = await ledger.hold(request("job", first_delivery=True))
            assert isinstance(answer, AlreadyDone)
            assert (answer.outcome.status, answer.outcome.finished_at) == ("cancelled", NOON)
            assert await ledger.attempts(["job"]) == {}

    asyncio.run(story())


def test_of_two_deliveries_racing_the_later_one_always_holds(ledger_url: str) -> None:
    """Each on a connection of its own; the earlier one holds only if it came first, and is then in doubt."""

    async def story() -> None:
        async with opened(ledger_url) as one, opened(ledger_url) as two:
            for number in range(20):
                job = f"job{number}"
                early = request(job, lease_token="a-1", first_delivery=True)
                late = request(job, lease_token="b-2")
                first, second = await asyncio.gather(one.hold(early), two.hold(late))
                assert isinstance(second, Held)
                states = [row.state for row in (await one.attempts([job]))[job]]
                assert states == (["in_doubt", "held"] if isinstance(first, Held) else ["held"])

    asyncio.run(story())
