"""Caps hold at every instant, with any number of workers, and are reached to within one image."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import ManualClock, ending, held, opened, request, settlement
from ready_process import forking

from imagequeue.ledger.api import Cap, CapKind, CapReached, Held
from imagequeue.ledger.caps import first_reached, scopes, starts_anew
from imagequeue.ledger.ledger import Ledger

IMAGE_NANO = 40_000_000


def capped(kind: CapKind, limit_nano: int, **changes: Any) -> Any:
    """Return a hold under one cap."""
    return request(caps=(Cap(kind=kind, limit_nano=limit_nano),), **changes)


@pytest.mark.parametrize("kind", ["org_month", "tenant_day", "tenant_month", "tenant_total"])
def test_five_hundred_racers_reach_the_cap_and_never_pass_it(ledger_url: str, kind: CapKind) -> None:
    limit = 10 * IMAGE_NANO + IMAGE_NANO // 2

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            results = await asyncio.gather(
                *(ledger.hold(capped(kind, limit, first_delivery=n % 2 == 0)) for n in range(500))
            )
            assert sum(isinstance(result, Held) for result in results) == 10
            reached = next(result for result in results if isinstance(result, CapReached))
            assert (reached.kind, reached.limit_nano, reached.used_nano) == (kind, limit, 10 * IMAGE_NANO)

    asyncio.run(story())


def test_racers_for_one_job_reach_its_ceiling_and_never_pass_it(ledger_url: str) -> None:
    """Each hold puts the one before in doubt, which keeps what it holds: a job delivered forty times at once."""

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            wanted = [capped("job", 10 * IMAGE_NANO + 1, job_id="job") for _ in range(40)]
            results = await asyncio.gather(*(ledger.hold(one) for one in wanted))
            assert sum(isinstance(result, Held) for result in results) == 10
            total = (await ledger.summary()).total
            assert (total.held + total.in_doubt, total.held_nano + total.in_doubt_nano) == (10, 10 * IMAGE_NANO)

    asyncio.run(story())


def race(url: str, start: Any, admitted: Any) -> None:
    """Hold as often as possible; settle every second hold and void every fourth. Runs in a process of its own."""

    async def story() -> None:
        ledger = await Ledger.open(url, clock=ManualClock())
        start.wait()
        results = await asyncio.gather(*(ledger.hold(capped("org_month", 20 * IMAGE_NANO)) for _ in range(60)))
        holds = [result for result in results if isinstance(result, Held)]
        for n, hold in enumerate(holds):
            if n % 4 == 1:
                await ledger.void(hold.attempt_id, ending())
            elif n % 2 == 0:
                await ledger.settle(hold.attempt_id, settlement(IMAGE_NANO))
        await ledger.aclose()
        admitted.put(len(holds))

    asyncio.run(story())


def test_processes_share_one_cap(ledger_url: str) -> None:
    """Two processes race; whenever the books are read, the cap holds."""
    processes = forking()
    start, admitted = processes.Event(), processes.Queue()
    racers = [processes.Process(target=race, args=(ledger_url, start, admitted)) for _ in range(2)]
    for racer in racers:
        racer.start()

    async def watch() -> int:
        async with opened(ledger_url) as ledger:
            start.set()
            while any(racer.is_alive() for racer in racers):  # ends with the racers, which are joined below
                total = (await ledger.summary()).total
                assert total.settled_nano + total.held_nano + total.in_doubt_nano <= 20 * IMAGE_NANO
                await asyncio.sleep(0.01)
            return (await ledger.summary()).total.voided

    voided = asyncio.run(watch())
    for racer in racers:
        racer.join(30)
        assert racer.exitcode == 0
    assert 20 <= sum(admitted.get(timeout=30) for _ in racers) <= 20 + voided


def test_a_cap_that_is_set_later_knows_what_was_used(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            for _ in range(3):
                await held(ledger)
            reached = await ledger.hold(capped("tenant_total", 4 * IMAGE_NANO - 1))
            assert isinstance(reached, CapReached)
            assert (reached.used_nano, reached.until) == (3 * IMAGE_NANO, None)

    asyncio.run(story())


def test_what_a_call_did_not_cost_is_free_again(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            limit = 2 * IMAGE_NANO
            first, second = await ledger.hold(capped("org_month", limit)), await ledger.hold(capped("org_month", limit))
            assert isinstance(first, Held)
            assert isinstance(second, Held)
            await ledger.settle(first.attempt_id, settlement(1))
            assert isinstance(await ledger.hold(capped("org_month", limit)), CapReached)
            await ledger.void(second.attempt_id, ending())
            assert isinstance(await ledger.hold(capped("org_month", limit)), Held)

    asyncio.run(story())


def test_doubt_keeps_what_it_holds_under_the_cap(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await ledger.hold(capped("tenant_day", IMAGE_NANO))
            assert isinstance(hold, Held)
            await ledger.doubt(hold.attempt_id, ending())
            assert isinstance(await ledger.hold(capped("tenant_day", IMAGE_NANO)), CapReached)
            await ledger.resolve(hold.attempt_id, "not_billed", reason="seen", by="ann")
            assert isinstance(await ledger.hold(capped("tenant_day", IMAGE_NANO)), Held)

    asyncio.run(story())


def test_a_job_s_own_ceiling_counts_all_its_attempts(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            limit = 2 * IMAGE_NANO
            for _ in range(2):
                hold = await ledger.hold(capped("job", limit, job_id="job"))
                assert isinstance(hold, Held)
                await ledger.doubt(hold.attempt_id, ending())
            reached = await ledger.hold(capped("job", limit, job_id="job"))
            assert isinstance(reached, CapReached)
            assert (reached.scope, reached.used_nano, reached.until) == ("job:total:job", limit, None)
            assert isinstance(await ledger.hold(capped("job", limit, job_id="other")), Held)

    asyncio.run(story())


def test_caps_start_anew_at_the_turn_of_day_and_month_in_utc(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock(datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
        async with opened(ledger_url, clock) as ledger:
            for kind in ("tenant_day", "tenant_month", "org_month"):
                await ledger.hold(capped(kind, IMAGE_NANO, tenant=kind, org=kind))
                reached = await ledger.hold(capped(kind, IMAGE_NANO, tenant=kind, org=kind))
                assert isinstance(reached, CapReached)
                assert reached.until == datetime(2027, 1, 1, tzinfo=UTC)
            clock.forward(microseconds=1)
            for kind in ("tenant_day", "tenant_month", "org_month"):
                assert isinstance(await ledger.hold(capped(kind, IMAGE_NANO, tenant=kind, org=kind)), Held)

    asyncio.run(story())


def test_the_first_cap_that_is_reached_is_named_and_nothing_is_held(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            wide, narrow = Cap(kind="org_month", limit_nano=10**12), Cap(kind="tenant_day", limit_nano=IMAGE_NANO - 1)
            reached = await ledger.hold(request(caps=(wide, narrow)))
            assert isinstance(reached, CapReached)
            assert reached.scope == "tenant:2026-11-22:default"
            assert (await ledger.summary()).total.held == 0

    asyncio.run(story())


def test_tenants_and_organizations_do_not_share_what_they_use(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            for tenant in ("a", "b", "a:2026-11-22", "total"):
                assert isinstance(await ledger.hold(capped("tenant_day", IMAGE_NANO, tenant=tenant)), Held)
            assert isinstance(await ledger.hold(capped("tenant_day", IMAGE_NANO, tenant="a")), CapReached)

    asyncio.run(story())


@given(limit=st.integers(0, 16), used=st.integers(0, 16), amount=st.integers(0, 16))
def test_a_hold_fits_exactly_when_the_sum_is_within_the_limit(limit: int, used: int, amount: int) -> None:
    cap = Cap(kind="tenant_total", limit_nano=limit)
    reached = first_reached([(cap, "scope")], {"scope": used}, amount, "2026-11-22")
    assert (reached is None) == (used + amount <= limit)


@given(st.dates())
def test_a_period_ends_at_the_first_midnight_of_the_next(day: Any) -> None:
    if day.year >= 9999:
        return
    end = starts_anew("tenant_day", day.isoformat())
    month = starts_anew("org_month", day.isoformat())
    assert end is not None
    assert month is not None
    assert (end.date() - day).days == 1
    assert month.day == 1
    assert 1 <= (month.date() - day).days <= 31
    assert scopes("o", "t", month.date().isoformat())[0] != scopes("o", "t", day.isoformat())[0]


def test_a_path_is_a_file(tmp_path: Path) -> None:
    """A ledger in memory would be another one for each connection, so it is refused."""
    from imagequeue.config.errors import ConfigError
    from imagequeue.ledger.database import parse_url

    for url in ("sqlite://", "sqlite:///:memory:", "mysql://host/db", "nonsense"):
        with pytest.raises(ConfigError, match="IMAGEQUEUE_LEDGER_URL"):
            parse_url(url)
    assert parse_url(f"sqlite:///{tmp_path}/x.db").drivername == "sqlite+pysqlite"
    assert parse_url("postgres://host/db").drivername == "postgresql+psycopg"
