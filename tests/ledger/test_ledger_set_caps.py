"""Caps that are set while the ledger is in use stand from the next hold on, in every process, and in the books."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import NOON, ending, held, opened, request, settlement
from sqlalchemy import text

from imagequeue.config.clock import iso
from imagequeue.ledger.api import Cap, CapKind, CapReached, Held
from imagequeue.ledger.cap_report import ConfiguredCap
from imagequeue.ledger.database import parse_url, writer_engine
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.set_caps import SET_KINDS, CapState, SetCap, SetKind, effective
from imagequeue.producer.main import run
from imagequeue.producer.registry import installed_parts

IMAGE_NANO = 40_000_000


async def set_cap(ledger: Ledger, kind: SetKind, limit_nano: int | None, state: CapState = "limit") -> bool:
    """Set a cap of organization `main` or tenant `default`."""
    name = "main" if kind == "org_month" else "default"
    return await ledger.submit(
        SetCap(kind=kind, name=name, state=state, limit_nano=limit_nano, by="ann", reason="the campaign")
    )


@pytest.mark.parametrize("kind", SET_KINDS)
def test_a_cap_that_is_set_stands_for_every_process_at_its_next_hold(ledger_url: str, kind: SetKind) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger, opened(ledger_url) as other:
            configured = (Cap(kind=kind, limit_nano=IMAGE_NANO),)
            await held(ledger, caps=configured)
            refused = await ledger.hold(request(caps=configured))
            assert isinstance(refused, CapReached)
            assert await set_cap(other, kind, 2 * IMAGE_NANO)
            assert not await set_cap(other, kind, 2 * IMAGE_NANO)
            await held(ledger, caps=configured)
            refused = await ledger.hold(request(caps=configured))
            assert isinstance(refused, CapReached)
            assert (refused.kind, refused.limit_nano, refused.used_nano) == (kind, 2 * IMAGE_NANO, 2 * IMAGE_NANO)
            await set_cap(other, kind, None, "none")
            await held(ledger, caps=configured)
            await set_cap(other, kind, None, "configured")
            assert isinstance(await ledger.hold(request(caps=configured)), CapReached)
            assert isinstance(await ledger.hold(request()), Held)

    asyncio.run(story())


def test_a_cap_can_be_set_where_none_is_configured_and_for_one_name_only(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            await set_cap(ledger, "tenant_day", IMAGE_NANO)
            await held(ledger)
            assert isinstance(await ledger.hold(request()), CapReached)
            await held(ledger, tenant="another")
            (shown,) = await ledger.caps([])
            assert (shown.cap.kind, shown.cap.name, shown.used_share) == ("tenant_day", "default", 1.0)
            assert shown.set is not None
            assert (shown.set.by, shown.set.reason) == ("ann", "the campaign")
            assert [one.percent for one in shown.warnings] == [50, 80, 100]
            assert await ledger.caps([], tenant="another") == ()

    asyncio.run(story())


def test_a_cap_says_what_of_it_is_settled_held_and_in_doubt(ledger_url: str) -> None:
    configured = [
        ConfiguredCap(kind="org_month", name="main", limit_nano=9 * IMAGE_NANO),
        ConfiguredCap(kind="tenant_total", name="default", limit_nano=8 * IMAGE_NANO),
        ConfiguredCap(kind="tenant_day", name="another", limit_nano=7 * IMAGE_NANO),
    ]

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            await ledger.settle((await held(ledger)).attempt_id, settlement(IMAGE_NANO))
            await ledger.doubt((await held(ledger)).attempt_id, ending())
            for tenant in ("default", "default", "another"):
                await held(ledger, tenant=tenant)
            shown = [cap.as_json() for cap in await ledger.caps(configured)]
            parts = ("used_usd", "settled_usd", "in_doubt_usd", "held_usd")
            assert [[float(str(cap[part])) for part in parts] for cap in shown] == [
                [0.2, 0.04, 0.04, 0.12],
                [0.16, 0.04, 0.04, 0.08],
                [0.04, 0, 0, 0.04],
            ]
            assert [cap["source"] for cap in shown] == ["configured"] * 3

    asyncio.run(story())


def test_what_was_set_stands_in_the_place_of_the_configured_cap_in_reports(ledger_url: str) -> None:
    configured = [ConfiguredCap(kind="org_month", name="main", limit_nano=1)]

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            (before,) = await ledger.caps(configured)
            await set_cap(ledger, "org_month", 7)
            (after,) = await ledger.caps(configured)
            assert [(one.cap.limit_nano, one.set is None) for one in (before, after)] == [(1, True), (7, False)]
            assert after.as_json()["set"] == {"at": iso(NOON), "by": "ann", "reason": "the campaign"}
            await set_cap(ledger, "org_month", None, "none")
            assert await ledger.caps(configured) == ()

    asyncio.run(story())


def test_the_audit_finds_a_cap_that_was_changed_behind_the_books(ledger_url: str) -> None:
    async def story() -> None:
        ledger = await Ledger.open(ledger_url)
        await set_cap(ledger, "tenant_total", 5)
        assert (await ledger.audit()).breach is None
        engine = writer_engine(parse_url(ledger_url))
        with engine.begin() as connection:
            connection.execute(text("UPDATE ledger_cap SET limit_nano = 500"))
        engine.dispose()
        breach = (await ledger.audit()).breach
        await ledger.aclose()
        assert breach == "L5 kind tenant_total, name default, limit_nano 500"

    asyncio.run(story())


KINDS = st.sampled_from([*SET_KINDS, "job"])


@given(
    configured=st.dictionaries(KINDS, st.integers(0, 9)), limits=st.dictionaries(KINDS, st.none() | st.integers(0, 9))
)
def test_each_kind_has_the_set_limit_or_else_the_configured_one(
    configured: dict[CapKind, int], limits: dict[CapKind, int | None]
) -> None:
    caps = effective([Cap(kind=kind, limit_nano=nano) for kind, nano in configured.items()], limits)
    expected = {kind: nano for kind, nano in {**configured, **limits}.items() if nano is not None}
    assert {one.kind: one.limit_nano for one in caps} == expected
    assert len(caps) == len(expected)


@pytest.fixture
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the commands an organization, a ledger, and a Redis that does not answer."""
    monkeypatch.chdir(tmp_path)
    orgs = [{"name": "main", "base_url": "http://127.0.0.1:1/v1", "api_key": "k", "monthly_cap_usd": "10"}]
    monkeypatch.setenv("IMAGEQUEUE_ORGS", json.dumps(orgs))
    monkeypatch.setenv("IMAGEQUEUE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("IMAGEQUEUE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("IMAGEQUEUE_REDIS_URL", "redis://127.0.0.1:1/0")


def command(*arguments: str) -> int:
    """Return the exit code of `imagequeue ledger caps ...`."""
    return run(["ledger", "caps", *arguments], {}, installed_parts())


@pytest.mark.usefixtures("_site")
def test_the_command_sets_caps_and_shows_who_set_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("set", "--tenant", "shop", "--month", "500", "--day", "20.5", "--by", "ann", "--reason", "ad") == 0
    told = capsys.readouterr().err
    assert "tenant, day, shop: $20.500000000" in told
    assert "within a minute" in told  # Redis does not answer: those that wait are tried again by themselves
    assert command("set", "--org", "main", "--month", "none", "--by", "ann") == 0
    assert command("set", "--tenant", "shop", "--month", "500") == 0
    assert "as before" in capsys.readouterr().err
    assert command("--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["limit_usd"], one["set"]["by"]) for one in shown] == [
        ("tenant_day", "20.500000000", "ann"),
        ("tenant_month", "500.000000000", "ann"),
    ]
    assert command("set", "--org", "main", "--month", "configured") == 0
    assert command() == 0
    assert "organization, month" in capsys.readouterr().out


@pytest.mark.usefixtures("_site")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tenant", "shop"], "--day, --month or --total is needed"),
        (["--month", "5"], "one of --org and --tenant is needed"),
        (["--org", "main", "--day", "5"], "an organization has a cap of the --month"),
        (["--org", "other", "--month", "5"], "'other' is not configured; known: main"),
        (["--tenant", "shop", "--day", "much"], "day: dollars such as 500"),
        (["--tenant", "shop", "--day", "-1"], "day: dollars such as 500"),
        (["--tenant", "a b", "--day", "1"], "tenant: 1 to 64 letters"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("set", *words) != 0
    error = capsys.readouterr().err
    assert told in error
    assert len(error.strip().splitlines()) == 1
