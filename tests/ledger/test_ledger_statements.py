"""Month statements: their sums are the summary's, the next one opens with what the last one closed with."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledger_values import ManualClock, ending, held, image, opened, settlement

from imagequeue.config.errors import JobRefused
from imagequeue.ledger.ledger import Ledger
from imagequeue.producer.main import run
from imagequeue.producer.registry import installed_parts

OCTOBER = datetime(2026, 10, 31, 23, 0, tzinfo=UTC)


async def fill(ledger: Ledger, clock: ManualClock) -> None:
    """Write two months of two tenants, with a doubt, credits and a correction."""
    await ledger.grant_credits("labs", 115, 15_000_000_000, kind="purchase", source="invoice 1")
    for month in range(2):
        for tenant, model in (("red", "dall-e-3"), ("red", "gpt-image-2"), ("blue", "dall-e-3")):
            hold = await held(ledger, f"{month}-{tenant}-{model}", tenant=tenant, model=model)
            await ledger.settle(hold.attempt_id, settlement(10_000_000 * (month + 1)))
        doubted = await held(ledger, f"{month}-doubt", tenant="red")
        await ledger.doubt(doubted.attempt_id, ending())
        credit = await held(ledger, f"{month}-credit", tenant="red", org="labs", credits=1)
        await ledger.settle(credit.attempt_id, settlement(0, images=tuple(image(f"{n:064x}") for n in range(4))))
        clock.forward(hours=2)
    await ledger.correct("main", "2026-11-01", -5, model="dall-e-3", reason="credit note", source="s")


def test_statements_are_the_summary_of_their_month_and_follow_from_each_other(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock(OCTOBER)
        async with opened(ledger_url, clock) as ledger:
            await fill(ledger, clock)
            november, december = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
            for tenant in ("red", "blue", None):
                first, second = [await ledger.statement(month, tenant) for month in ("2026-10", "2026-11")]
                report = await ledger.summary(["tenant"], since=november, until=december)
                figures = [group.figures for group in report.groups if tenant in (None, group.key["tenant"])]
                assert second.total.settled_nano == sum(one.settled_nano for one in figures)
                assert second.total.corrected_nano == sum(one.corrected_nano for one in figures)
                assert sum(line.figures.settled_nano for line in second.lines) == second.total.settled_nano
                assert second.opening.settled_nano == first.total.settled_nano
                assert (
                    second.closing_nano == first.closing_nano + second.total.settled_nano + second.total.corrected_nano
                )
            everyone = await ledger.statement("2026-11")
            assert everyone.total.corrected_nano == -5
            assert (await ledger.statement("2026-12", "red")).lines == ()

    asyncio.run(story())


def test_a_statement_says_what_credits_paid_and_what_is_still_in_doubt(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock(OCTOBER)
        async with opened(ledger_url, clock) as ledger:
            await fill(ledger, clock)
            red = await ledger.statement("2026-11", "red")
            assert (red.credits.credits, red.credits.worth_nano) == (1, 15_000_000_000 // 115)
            shown = red.as_json()
            assert shown["closing"] == {
                "spent_usd": "0.320869564",
                "held_usd": "0.000000000",
                "in_doubt_usd": "0.080000000",
            }
            by_model = shown["by_model"]
            assert isinstance(by_model, list)
            assert [row["model"] for row in by_model] == ["dall-e-3", "gpt-image-2"]
            assert (await ledger.statement("2026-11", "blue")).credits.credits == 0

    asyncio.run(story())


def test_what_is_no_month_is_named(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            for wrong in ("2026-13", "2026-11-01", "november", ""):
                with pytest.raises(JobRefused, match="month"):
                    await ledger.statement(wrong)

    asyncio.run(story())


def test_the_command_prints_json_and_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEQUEUE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("IMAGEQUEUE_DATA_DIR", str(tmp_path / "data"))

    async def story() -> None:
        clock = ManualClock(OCTOBER)
        async with opened(f"sqlite:///{tmp_path}/ledger.db", clock) as ledger:
            await fill(ledger, clock)

    asyncio.run(story())
    arguments = ["ledger", "statement", "--month", "2026-11", "--tenant", "red"]
    assert run([*arguments, "--json"], {}, installed_parts()) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["opening"]["spent_usd"] == "0.150434782"
    assert run(arguments, {}, installed_parts()) == 0
    text = capsys.readouterr().out
    assert "spent at the end of the month: $0.320869564" in text
    assert "gpt-image-2" in text
    assert run(["ledger", "statement", "--month", "soon"], {}, installed_parts()) == 2
