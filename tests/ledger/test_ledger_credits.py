"""Credits: drawn oldest-expiring first, worth what was paid for them, given back when nothing was billed."""

import asyncio
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from ledger_values import NOON, ManualClock, ending, held, opened, request, settlement

from imagequeue.ledger.api import Cap, CapReached, Held
from imagequeue.ledger.wallet import Grant, draw, without

PACK_NANO = 15_000_000_000  # 115 credits for $15

GRANTS = st.lists(
    st.builds(
        Grant,
        grant_id=st.integers(1, 10**6),
        credits=st.integers(1, 16),
        paid_nano=st.integers(0, 16),
        expires_at_us=st.none() | st.integers(0, 3),
    ),
    max_size=4,
    unique_by=lambda grant: grant.grant_id,
)


@given(GRANTS, st.integers(0, 20))
def test_a_draw_takes_exactly_what_is_asked_for_from_what_expires_first(grants: list[Grant], count: int) -> None:
    draws = draw(grants, count)
    if draws is None:
        assert sum(grant.credits for grant in grants) < count
        return
    assert sum(one.credits for one in draws) == count
    left = {grant.grant_id: grant for grant in without(grants, draws)}
    assert all(grant.credits >= 0 and grant.paid_nano >= 0 for grant in left.values())
    never = float("inf")
    expiries = {grant.grant_id: never if grant.expires_at_us is None else grant.expires_at_us for grant in grants}
    latest = max((expiries[one.grant_id] for one in draws), default=-1)
    assert all(left[grant].credits == 0 for grant, expiry in expiries.items() if expiry < latest)


@given(st.integers(1, 16), st.integers(0, 16), st.lists(st.integers(1, 4), max_size=16))
def test_a_grant_that_is_used_up_cost_exactly_its_price(count: int, paid_nano: int, parts: list[int]) -> None:
    grants, spent = [Grant(grant_id=1, credits=count, paid_nano=paid_nano, expires_at_us=None)], 0
    for part in parts:
        draws = draw(grants, min(part, grants[0].credits)) or ()
        spent += sum(one.paid_nano for one in draws)
        grants = without(grants, draws)
    assert spent + grants[0].paid_nano == paid_nano
    assert grants[0].credits or spent == paid_nano


def test_operations_cost_what_was_paid_for_their_credits(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            expiring = {"kind": "monthly", "expires_at": NOON + timedelta(days=30)}
            assert await ledger.grant_credits("main", 115, PACK_NANO, kind="purchase", source="invoice 1")
            assert await ledger.grant_credits("main", 1, 0, source="2026-11", **expiring)  # type: ignore[arg-type]  # as written above
            assert not await ledger.grant_credits("main", 1, 0, source="2026-11", **expiring)  # type: ignore[arg-type]  # as written above
            wallet = await ledger.wallet("main")
            assert (wallet.credits, wallet.worth_nano) == (116, PACK_NANO)
            free, paid = [await held(ledger, job, credits=1) for job in ("free", "paid")]
            for hold in (free, paid):
                assert await ledger.settle(hold.attempt_id, settlement(99))
            attempts = await ledger.attempts(["free", "paid"])
            assert (attempts["free"][0].usd_nano, attempts["paid"][0].usd_nano) == (0, PACK_NANO // 115)
            outcome = (await ledger.outcomes(["paid"]))["paid"]
            assert outcome.cost is not None
            assert outcome.cost.usd_nano == PACK_NANO // 115
            assert (await ledger.wallet("main")).credits == 114

    asyncio.run(story())


def test_credits_that_were_not_billed_come_back(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            await ledger.grant_credits("main", 2, 10, kind="purchase", source="1")
            voided, doubted = [await held(ledger, job, credits=1) for job in ("a", "b")]
            assert (await ledger.wallet("main")).credits == 0
            await ledger.void(voided.attempt_id, ending())
            await ledger.doubt(doubted.attempt_id, ending())
            assert (await ledger.wallet("main")).credits == 1
            await ledger.resolve(doubted.attempt_id, "not_billed", reason="seen", by="ann")
            wallet = await ledger.wallet("main")
            assert (wallet.credits, wallet.worth_nano) == (2, 10)
            assert (await ledger.summary()).total.settled_nano == 0

    asyncio.run(story())


def test_an_empty_or_expired_wallet_holds_nothing(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            assert isinstance(await ledger.hold(request(credits=1)), CapReached)
            await ledger.grant_credits("main", 15, 0, kind="monthly", source="1", expires_at=NOON + timedelta(days=1))
            clock.forward(days=1)
            reached = await ledger.hold(request(credits=1))
            assert isinstance(reached, CapReached)
            assert (reached.kind, reached.scope) == ("credits", "credits:main")
            assert (await ledger.wallet("main")).next_expiry is None

    asyncio.run(story())


def test_racers_never_use_a_credit_twice_nor_take_one_for_a_call_that_a_cap_refuses(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            await ledger.grant_credits("main", 10, 100, kind="purchase", source="1")
            refused = await ledger.hold(request(credits=1, caps=(Cap(kind="org_month", limit_nano=9),)))
            assert isinstance(refused, CapReached)
            asked = [ledger.hold(request(credits=1, first_delivery=n % 2 == 0)) for n in range(60)]
            assert sum(isinstance(result, Held) for result in await asyncio.gather(*asked)) == 10
            assert (await ledger.wallet("main")).credits == 0
            assert (await ledger.summary()).total.held_nano == 100

    asyncio.run(story())
