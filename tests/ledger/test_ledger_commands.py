"""The commands `ledger ...`: what they print, and how they end."""

import asyncio
import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import httpx
import pytest
from ledger_values import ManualClock, ending, held, settlement

from imagequeue.config.errors import ConfigError, ImageQueueError
from imagequeue.config.orgs import Org
from imagequeue.ledger.bill import Bill, BilledModel, Projects
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.provider_reports import NoReport, fetch_bill, projects_of
from imagequeue.producer.main import run
from imagequeue.producer.registry import installed_parts

DAY = "2026-11-22"
START = 1_795_305_600  # 2026-11-22T00:00:00Z


@pytest.fixture
def doubted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return an attempt in doubt, in a ledger that the commands find; another attempt is settled."""
    for name in ("OPENAI_API_KEY", "IMAGEQUEUE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IMAGEQUEUE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("IMAGEQUEUE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    async def story() -> int:
        ledger = await Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=ManualClock())
        hold = await held(ledger, "job", tenant="=cmd()")
        await ledger.settle((await held(ledger, "other", tags={"project": "x"})).attempt_id, settlement())
        await ledger.doubt(hold.attempt_id, ending(error_code="timeout"))
        await ledger.aclose()
        return hold.attempt_id

    return asyncio.run(story())


def command(*arguments: str) -> int:
    """Return the exit code of `imagequeue ledger ...`."""
    return run(["ledger", *arguments], {}, installed_parts())


@pytest.mark.usefixtures("doubted")
@pytest.mark.parametrize("name", ["summary", "export"])
def test_a_time_that_ends_before_it_begins_is_told_in_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(name, "--since", "2026-11-23", "--until", DAY) == 2
    assert f"until: a day or moment after --since 2026-11-23, not {DAY}" in capsys.readouterr().err


@pytest.mark.usefixtures("doubted")
def test_summary_prints_json_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("summary", "--json", "--group-by", "tag:project", "--since", DAY) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["settled_usd"], report["in_doubt_usd"]) == ("0.040000000", "0.040000000")
    assert [group["tag:project"] for group in report["groups"]] == [None, "x"]
    assert command("summary", "--group-by", "model,day") == 0
    assert "dall-e-3" in capsys.readouterr().out


@pytest.mark.usefixtures("doubted")
def test_audit_ends_with_one_when_the_books_are_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    assert command("audit", "--json") == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE ledger_balance SET used_nano = used_nano + 1")
    connection.close()
    assert command("audit") == 1
    output = capsys.readouterr()
    assert "L5" in output.err
    assert len(output.err.splitlines()) == 1


def test_resolve_lists_what_waits_and_decides_it_once(doubted: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("resolve", "--json") == 0
    (waiting,) = json.loads(capsys.readouterr().out)
    assert (waiting["attempt_id"], waiting["error_code"]) == (doubted, "timeout")
    assert command("resolve") == 0
    assert str(doubted) in capsys.readouterr().out
    assert command("resolve", str(doubted), "--billed", "--not-billed", "--reason", "x") == 2
    assert command("resolve", str(doubted), "--billed") == 2
    assert command("resolve", str(doubted), "--billed-usd", "much", "--reason", "x") == 2
    assert command("resolve", str(doubted), "--billed-usd", "0.03", "--reason", "invoice 7", "--by", "ann") == 0
    assert command("resolve", str(doubted), "--billed", "--reason", "again") == 1
    capsys.readouterr()
    assert command("summary", "--json") == 0
    assert json.loads(capsys.readouterr().out)["settled_usd"] == "0.070000000"
    assert command("resolve") == 0
    assert capsys.readouterr().out == "nothing is in doubt\n"


@pytest.mark.usefixtures("doubted")
def test_an_export_can_be_opened_in_a_spreadsheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("export") == 0
    rows = list(csv.DictReader(StringIO(capsys.readouterr().out)))
    assert [(row["tenant"], row["usd"]) for row in rows] == [("'=cmd()", ""), ("default", "0.040000000")]
    path = tmp_path / "entries.jsonl"
    assert command("export", "--entries", "--format", "jsonl", "--output", str(path)) == 0
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry["kind"] for entry in entries] == ["hold", "hold", "settle", "doubt"]
    assert command("export", "--since", "2030-01-01") == 0
    assert command("export", "--format", "xml") == 2
    assert command("export", "--output", str(tmp_path)) == 1


@pytest.mark.usefixtures("doubted")
def test_what_cannot_be_used_is_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, named in (
        (("summary", "--group-by", "colour"), "group_by"),
        (("summary", "--since", "yesterday"), "since"),
        (("reconcile", "--org", "nobody", "--day", DAY), "nobody"),
    ):
        assert command(*arguments) != 0
        error = capsys.readouterr().err
        assert named in error
        assert len(error.splitlines()) == 1


def provider(request: httpx.Request) -> httpx.Response:
    """Answer both reports, the costs in two pages."""
    assert request.headers["Authorization"] == "Bearer admin"
    if request.url.path.endswith("/usage/images"):
        assert (request.url.params["start_time"], request.url.params["bucket_width"]) == (str(START), "1m")
        results: list[object] = [{"images": 2, "num_model_requests": 2, "model": "dall-e-3"}]
        return httpx.Response(200, json={"data": [{"start_time": START, "results": results}], "has_more": False})
    first = request.url.params.get("page") is None
    cost = {"amount": {"value": 0.04, "currency": "usd"}, "line_item": "dall-e-3, images"}
    page = {"data": [{"start_time": START, "results": [cost]}], "has_more": first, "next_page": "p2" if first else None}
    return httpx.Response(200, json=page)


def org(**changes: str) -> Org:
    return Org(**({"name": "main", "base_url": "http://127.0.0.1:1/v1", "admin_key": "admin"} | changes))  # type: ignore[arg-type]  # pydantic makes them secrets


def test_a_bill_is_read_from_all_pages() -> None:
    bill = asyncio.run(fetch_bill(org(), DAY, transport=httpx.MockTransport(provider)))
    one = BilledModel(usd_nano=80_000_000, images=2, calls=2, calls_by_minute={START // 60: 2})
    assert bill == Bill(models={"dall-e-3": one})


def test_projects_of_others_on_the_same_admin_key_are_left_out() -> None:
    own, other, apart = org(project="a"), org(name="b", project="b"), org(name="c", project="c", admin_key="x")
    every = (org(), own, other, apart)
    assert projects_of(org(), every[1:]) == Projects(others=frozenset({"b"}))
    assert projects_of(own, every) == Projects(only="a")


def test_pages_without_end_are_given_up() -> None:
    def endless(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [], "has_more": True, "next_page": "p2"})

    with pytest.raises(NoReport, match="there is more"):
        asyncio.run(fetch_bill(org(), DAY, transport=httpx.MockTransport(endless)))


def test_a_provider_that_does_not_say_is_named_with_its_reason() -> None:
    refusal = {"error": {"code": "invalid_api_key", "message": "m", "type": "t", "param": None}}
    with pytest.raises(ImageQueueError, match="401 invalid_api_key"):
        asyncio.run(fetch_bill(org(), DAY, transport=httpx.MockTransport(lambda _: httpx.Response(401, json=refusal))))
    with pytest.raises(ImageQueueError, match="200"):
        asyncio.run(fetch_bill(org(), DAY, transport=httpx.MockTransport(lambda _: httpx.Response(200, text="[]"))))
    with pytest.raises(ImageQueueError, match="ConnectError"):
        asyncio.run(fetch_bill(org(), DAY))
    with pytest.raises(ConfigError, match="admin_key"):
        asyncio.run(fetch_bill(Org(name="main", base_url="http://127.0.0.1:1/v1"), DAY))


@pytest.mark.usefixtures("doubted")
@pytest.mark.parametrize(("age", "code"), [(timedelta(hours=1), 1), (timedelta(hours=3), 0)])
def test_an_attempt_that_a_restored_copy_left_held_can_be_decided(tmp_path: Path, age: timedelta, code: int) -> None:
    """Not while its call may be under way."""

    async def story() -> int:
        ledger = await Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=ManualClock(datetime.now(UTC) - age))
        hold = await held(ledger, "left")
        await ledger.aclose()
        return hold.attempt_id

    assert command("resolve", str(asyncio.run(story())), "--billed", "--reason", "the bill has it") == code
    assert command("audit") == 0
