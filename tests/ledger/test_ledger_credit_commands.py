"""Credits from the command line, and what an image of them really cost."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledger_values import held, image, opened, settlement

from imagequeue.producer.main import run
from imagequeue.producer.registry import installed_parts


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands find a ledger of this test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEQUEUE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("IMAGEQUEUE_DATA_DIR", str(tmp_path / "data"))
    orgs = [
        {
            "name": "labs",
            "base_url": "http://127.0.0.1:1/v1",
            "api_key": "k",
            "kind": "compatible",
            "credits_per_call": 1,
        }
    ]
    monkeypatch.setenv("IMAGEQUEUE_ORGS", json.dumps(orgs))


def command(*arguments: str) -> int:
    """Return the exit code of `imagequeue ledger credits ...`."""
    return run(["ledger", "credits", *arguments], {}, installed_parts())


def test_grants_and_purchases_are_listed_in_the_order_of_their_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("list") == 0
    assert "no credits" in capsys.readouterr().out
    assert command("purchase", "--org", "labs", "--credits", "115", "--paid-usd", "15", "--source", "invoice 7") == 0
    assert command("grant", "--org", "labs", "--credits", "50", "--kind", "bonus") == 0
    assert command("grant", "--org", "labs", "--credits", "15", "--kind", "monthly") == 0
    assert command("grant", "--org", "labs", "--credits", "15", "--kind", "monthly") == 1
    capsys.readouterr()
    assert command("list", "--org", "labs", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["credits_left"], one["paid_usd"]) for one in shown] == [
        ("monthly", 15, "0.000000000"),
        ("purchase", 115, "15.000000000"),
        ("bonus", 50, "0.000000000"),
    ]
    assert datetime.fromisoformat(shown[0]["expires_at"]) > datetime.now(UTC)
    assert command("list") == 0
    assert "starting bonus" in capsys.readouterr().out


def test_what_cannot_be_booked_is_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, named in (
        (("grant", "--org", "labs", "--credits", "1"), "source"),
        (("grant", "--org", "labs", "--credits", "1", "--kind", "gift"), "kind"),
        (("grant", "--org", "labs", "--credits", "1", "--source", "s", "--expires", "2020-01-01"), "expires"),
        (("purchase", "--org", "labs", "--credits", "1", "--paid-usd", "much", "--source", "s"), "paid_usd"),
        (("purchase", "--org", "labs", "--credits", "1", "--paid-usd", "-1", "--source", "s"), "paid_usd"),
        (("grant", "--org", "labs", "--credits", "0", "--source", "s"), "credits"),
        (("grant", "--org", "lab", "--credits", "1", "--source", "s"), "'lab' is not configured; known: labs"),
    ):
        assert command(*arguments) == 2
        assert named in capsys.readouterr().err


def test_four_images_for_one_bought_credit_cost_three_cents_each_or_thirteen_when_one_is_kept(ledger_url: str) -> None:
    images = tuple(image(f"{n:064x}") for n in range(4))

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            await ledger.grant_credits("labs", 115, 15_000_000_000, kind="purchase", source="invoice 7")
            hold = await held(ledger, "job", org="labs", images=4, credits=1)
            await ledger.settle(hold.attempt_id, settlement(0, images=images))
            await ledger.keep("job")
            report = (await ledger.summary(["org"])).as_json()
            assert str(report["usd_per_image"])[:6] == "0.0326"
            assert str(report["usd_per_kept_image"])[:6] == "0.0326"
            await ledger.keep("job", [images[0].sha256])
            for group_by in ([], ["model"], ["tenant"], ["tag:x"]):
                report = (await ledger.summary(group_by)).as_json()
                assert str(report["usd_per_kept_image"])[:6] == "0.1304"

    asyncio.run(story())


def test_regenerations_are_counted_by_model_tenant_and_tag(ledger_url: str) -> None:
    """One intent is answered three times by two models, another one once; the first answer is no regeneration."""

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            for job, intent, model in (
                ("a", "cover", "m1"),
                ("b", "cover", "m1"),
                ("c", "cover", "m2"),
                ("d", "x", "m1"),
            ):
                hold = await held(ledger, job, intent=intent, model=model, tags={"project": "p"})
                await ledger.settle(hold.attempt_id, settlement())
            plain = await held(ledger, "e", model="m1")
            await ledger.settle(plain.attempt_id, settlement())
            total = (await ledger.summary()).as_json()
            assert (total["intents"], total["regenerations"], total["regenerations_per_intent"]) == (2, 2, 1.0)
            by_model = (await ledger.summary(["model"])).groups
            assert [(group.figures.answers, group.figures.intents) for group in by_model] == [(3, 2), (1, 0)]
            by_tag = {
                group.key["tag:project"]: group.figures for group in (await ledger.summary(["tag:project"])).groups
            }
            assert (by_tag["p"].answers, by_tag["p"].intents, by_tag[None].answers) == (4, 2, 0)
            by_intent = {group.key["intent"]: group.figures for group in (await ledger.summary(["intent"])).groups}
            assert (by_intent["cover"].answers, by_intent["cover"].intents) == (3, 1)
            assert by_intent[None].settled == 1

    asyncio.run(story())
