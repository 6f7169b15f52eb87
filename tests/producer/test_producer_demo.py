"""The demonstration ends with equal books, and its account notices every way in which they could differ."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from imagequeue.ledger.api import AttemptRow, ImageRecord, Outcome
from imagequeue.producer.demo.account import Account, account
from imagequeue.producer.demo.jobs import demo_jobs
from imagequeue.producer.demo.picture import Frame, PriorityFrame, drawn, line, sparks
from imagequeue.producer.demo.place import KEPT_MAX, clean_environ, fresh_folder
from imagequeue.producer.demo.provider import BillLine

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
IMAGE = ImageRecord(sha256="ab" * 32, bytes=1, width=1, height=1, format="png")
ROW = AttemptRow(
    attempt_id=1, job_id="a", n=1, org="demo", model="dall-e-3", tenant="shop", priority="high", delivery="now",
    operation="generation", size=None, quality=None, intent=None, tags={}, state="settled", upper_bound_nano=40,
    usd_nano=40, images=1, catalog_version="", held_at=NOON, sent_at=NOON, ended_at=NOON, status_code=200,
    error_code=None, error_message=None, request_id=None, client_request_id="a-1", usage=None, reason=None,
)  # fmt: skip
DONE = Outcome(job_id="a", status="succeeded", finished_at=NOON, images=(IMAGE,))


def drawn_up(
    rows: tuple[AttemptRow, ...] = (ROW,),
    bill: tuple[BillLine, ...] = (BillLine(name="a-1", nano_usd=40),),
    outcomes: tuple[Outcome, ...] = (DONE,),
    missing_images: int = 0,
) -> Account:
    """Return the account of one job."""
    known = {outcome.job_id: outcome for outcome in outcomes}
    return account(["a"], known, {"a": rows}, bill, started=NOON.timestamp(), missing_images=missing_images)


def test_equal_books_are_good() -> None:
    found = drawn_up()
    assert found.good
    assert (found.ledger_nano, found.bill_nano, found.images) == (40, 40, 1)


@pytest.mark.parametrize(
    "found",
    [
        drawn_up(bill=()),
        drawn_up(bill=(BillLine(name="a-1", nano_usd=41),)),
        drawn_up(bill=(BillLine(name="a-2", nano_usd=40),)),
        drawn_up(bill=(BillLine(name="a-1", nano_usd=40), BillLine(name="a-1", nano_usd=40))),
        drawn_up(rows=(ROW, replace(ROW, n=2, state="in_doubt", client_request_id="a-2"))),
        drawn_up(rows=(ROW, replace(ROW, n=2, state="held", client_request_id=None))),
        drawn_up(outcomes=()),
        drawn_up(outcomes=(replace(DONE, status="failed"),)),
        drawn_up(missing_images=1),
    ],
)
def test_whatever_is_amiss_is_noticed(found: Account) -> None:
    assert not found.good


def test_the_first_thousand_jobs_differ_and_priorities_are_mixed() -> None:
    jobs = list(demo_jobs(1_000))
    assert len({job.prompt for job in jobs}) == 1_000
    assert {job.priority for job in jobs[:10]} == {"high", "default", "low"}


def test_only_the_last_demonstrations_stay_on_disk(tmp_path: Path) -> None:
    environ = {"IMAGEQUEUE_DATA_DIR": str(tmp_path / "data")}
    (tmp_path / "data" / "demo" / "mine").mkdir(parents=True)
    for second in range(5):
        fresh_folder(environ, tmp_path, NOON.replace(second=second))
    kept = sorted(path.name for path in (tmp_path / "data" / "demo").iterdir())
    assert len(kept) == KEPT_MAX + 1
    assert kept[-1] == "mine"
    assert kept[-2].startswith("20261122-120004")


def test_no_setting_and_no_key_of_yours_reaches_it(tmp_path: Path) -> None:
    mine = {"OPENAI_API_KEY": "sk-real", "IMAGEQUEUE_ORGS": "[]", "RQ_KEY_PREFIX": "x", "PATH": "/bin"}
    assert clean_environ(mine, tmp_path) == {"PATH": "/bin", "IMAGEQUEUE_CONFIG": f"{tmp_path}/imagequeue.toml"}


def test_a_moment_is_drawn_in_full_and_on_a_line() -> None:
    part = PriorityFrame(priority="high", total=10, queued=3, running=2, waiting=1)
    frame = Frame(
        seconds=3, priorities=(part,), starts=(100, 150, 20), pace=150, ceiling=166.7, refused=1, in_doubt=0,
        nano_usd=40_000_000, note="",
    )  # fmt: skip
    assert (part.done, frame.rate_now) == (4, 150)
    assert line(frame).split("  ")[1:3] == ["3.0 s", "4 of 10 done"]
    assert drawn(frame) is not None
    assert sparks([0, 50, 100, 400], 100) == "▁▅██"


@pytest.fixture
def demo_folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in which nothing runs afterwards."""
    yield tmp_path
    assert not [path for path in tmp_path.rglob("*.lock") if path.name == "up.lock"]


@pytest.mark.kill
def test_the_whole_demonstration(demo_folder: Path) -> None:
    """Refusals, a charged 500 and broken connections included: equal books, nothing lost, nothing left running.

    It shows its dashboard until it is told to end, also as a script starts it in the background: deaf to SIGINT.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("IMAGEQUEUE_")}
    demo = [sys.executable, "-m", "imagequeue.producer.main", "demo", "--jobs", "60", "--json", "--keep-running"]
    deaf = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *demo]
    with subprocess.Popen(deaf, cwd=demo_folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads("".join(itertools.takewhile(lambda line: line != "}\n", process.stdout)) + "}")
        assert httpx.get(told["dashboard"], follow_redirects=True).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    with pytest.raises(httpx.ConnectError):
        httpx.get(told["dashboard"])
    assert told["good"]
    assert told["ledger_usd"] == told["bill_usd"] != "0.000000000"
    assert (told["succeeded"], told["images"], told["lost"], told["refused"]) == (60, 60, [], 3)
    assert told["doubts"] == {"billed": 2, "not_billed": 1}
    images = list(Path(told["data_dir"]).joinpath("images").rglob("*.png"))
    assert len(images) == 60
