"""Caps warn at 50, 80 and 100 %, once each in a period, and `ledger caps` shows it."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import NOON, ManualClock, ending, opened, request, settlement

from imagequeue.ledger.api import Cap, CapReached, Held
from imagequeue.ledger.cap_report import ConfiguredCap
from imagequeue.ledger.caps import LEVELS_PERCENT, levels_reached
from imagequeue.ledger.ledger import Ledger
from imagequeue.producer.main import run
from imagequeue.producer.registry import installed_parts

NANO = 40_000_000
CAP = ConfiguredCap(kind="tenant_month", name="default", limit_nano=10 * NANO)


def capped(limit_nano: int = CAP.limit_nano, **changes: Any) -> Any:
    """Return a hold under a cap of its tenant's month."""
    return request(caps=(Cap(kind="tenant_month", limit_nano=limit_nano),), **changes)


async def levels(ledger: Ledger) -> list[int]:
    """Return the levels that were warned of."""
    return [one.percent for one in await ledger.cap_warnings(NOON - timedelta(days=99))]


def test_each_level_warns_once_however_often_it_is_passed(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            holds = []
            for used in range(1, 11):
                hold = await ledger.hold(capped())
                assert isinstance(hold, Held)
                holds.append(hold)
                assert await levels(ledger) == [level for level in LEVELS_PERCENT if level <= used * 10]
            for hold in holds[5:]:
                await ledger.void(hold.attempt_id, ending())
            for _ in range(5):
                assert isinstance(await ledger.hold(capped()), Held)
            assert await levels(ledger) == [50, 80, 100]

    asyncio.run(story())


def test_a_refused_call_is_a_cap_reached_although_a_rest_is_left(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            for _ in range(2):
                assert isinstance(await ledger.hold(capped(NANO - 1)), CapReached)
            assert await levels(ledger) == [50, 80, 100]

    asyncio.run(story())


def test_a_new_month_and_a_changed_cap_warn_anew(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            assert isinstance(await ledger.hold(capped(2 * NANO)), Held)
            assert isinstance(await ledger.hold(capped(4 * NANO)), Held)
            assert await levels(ledger) == [50, 50]
            clock.forward(days=30)
            assert isinstance(await ledger.hold(capped(2 * NANO)), Held)
            assert await levels(ledger) == [50, 50, 50]
            scopes = [one.scope for one in await ledger.cap_warnings(NOON)]
            assert scopes == ["tenant:2026-11:default", "tenant:2026-11:default", "tenant:2026-12:default"]

    asyncio.run(story())


def test_racing_processes_note_a_warning_once(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as one, opened(ledger_url) as other:
            asked = [ledger.hold(capped()) for _ in range(20) for ledger in (one, other)]
            held = [result for result in await asyncio.gather(*asked) if isinstance(result, Held)]
            assert len(held) == 10
            assert sorted(await levels(one)) == [50, 80, 100]

    asyncio.run(story())


def test_the_report_shows_use_share_and_warnings_of_the_present_period(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            for _ in range(6):
                hold = await ledger.hold(capped())
                assert isinstance(hold, Held)
                await ledger.settle(hold.attempt_id, settlement(NANO))
            unused = ConfiguredCap(kind="org_month", name="idle", limit_nano=0)
            (status, idle) = await ledger.caps([CAP, unused])
            shown = status.as_json()
            assert (shown["used_usd"], shown["left_usd"], shown["used_share"]) == ("0.240000000", "0.160000000", 0.6)
            assert [one.percent for one in status.warnings] == [50]
            assert (idle.used_share, idle.warnings) == (1.0, ())
            clock.forward(days=30)
            ((anew,),) = (await ledger.caps([CAP]),)
            assert (anew.used_nano, anew.warnings) == (0, ())

    asyncio.run(story())


@given(used=st.integers(0, 40), limit=st.integers(0, 16))
def test_a_level_is_reached_exactly_from_its_share_on(used: int, limit: int) -> None:
    reached = levels_reached(used, limit, refused=False)
    assert all((percent in reached) == (used * 100 >= percent * max(limit, 1)) for percent in LEVELS_PERCENT)
    assert levels_reached(used, limit, refused=True) == LEVELS_PERCENT


def test_the_command_lists_the_configured_caps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    orgs = [{"name": "main", "base_url": "http://127.0.0.1:1/v1", "api_key": "k", "monthly_cap_usd": "10"}]
    monkeypatch.setenv("IMAGEQUEUE_ORGS", json.dumps(orgs))
    monkeypatch.setenv("IMAGEQUEUE_TENANT_CAPS", json.dumps({"red": {"day_usd": "1", "total_usd": "5"}}))
    monkeypatch.setenv("IMAGEQUEUE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("IMAGEQUEUE_DATA_DIR", str(tmp_path / "data"))
    assert run(["ledger", "caps", "--json"], {}, installed_parts()) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["name"], one["limit_usd"]) for one in shown] == [
        ("org_month", "main", "10.000000000"),
        ("tenant_day", "red", "1.000000000"),
        ("tenant_total", "red", "5.000000000"),
    ]
    assert run(["ledger", "caps"], {}, installed_parts()) == 0
    assert "tenant, for ever" in capsys.readouterr().out
    monkeypatch.delenv("IMAGEQUEUE_ORGS")
    monkeypatch.delenv("IMAGEQUEUE_TENANT_CAPS")
    assert run(["ledger", "caps"], {}, installed_parts()) == 0
    assert "no caps are configured" in capsys.readouterr().out
