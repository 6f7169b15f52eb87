"""What the pages show as printed is printed."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from docs_pages import ROOT, Page

from imagequeue.config.settings import load_settings
from imagequeue.producer.demo.account import Account, PriorityAccount
from imagequeue.producer.demo.doubts import Settled
from imagequeue.producer.demo.ending import print_ending
from imagequeue.producer.demo.run import Ran
from imagequeue.producer.main import run
from imagequeue.producer.registry import installed_parts

NOBODY = "redis://127.0.0.1:1/0"  # what is shown here is said before any server is asked
ORG = {"name": "main", "api_key": "sk-test", "base_url": "http://127.0.0.1:9/v1", "tier": "5"}

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def imagequeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return what runs one command and gives its exit code and what it said on standard error."""
    for name in [name for name in os.environ if name.startswith(("IMAGEQUEUE_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("IMAGEQUEUE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("IMAGEQUEUE_REDIS_URL", NOBODY)
    monkeypatch.setenv("IMAGEQUEUE_ORGS", json.dumps([ORG]))
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str]:
        code = run(arguments, os.environ, installed_parts())
        return code, capsys.readouterr().err

    return command


def shown(page: str, beginning: str) -> list[str]:
    """Return the lines of the one block of a page that begins so."""
    (block,) = [block for block in Page(path=ROOT / page).blocks if block.text.startswith(beginning)]
    return block.text.splitlines()


def test_mistakes_in_the_configuration(imagequeue: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable, key = shown("docs/configure.md", "imagequeue: IMAGEQUEUE_CASHE")
    with monkeypatch.context() as wrong:
        wrong.setenv("IMAGEQUEUE_CASHE", "use")
        assert imagequeue("status") == (2, f"{variable}\n")
    (tmp_path / "imagequeue.toml").write_text("lease_secs = 20\n", encoding="utf-8")
    code, said = imagequeue("status")
    assert (code, said.startswith(key.replace("/srv", str(tmp_path)).removesuffix("..."))) == (2, True)


def test_a_bad_line_of_a_file(imagequeue: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEQUEUE_MODELS", '["dall-e-3"]')
    (line,) = shown("docs/enqueue.md", "imagequeue: line 701")
    good, bad = '{"prompt": "x"}\n', '{"prompt": "x", "size": "9x9"}\n'
    (tmp_path / "jobs.jsonl").write_text(good * 700 + bad, encoding="utf-8")
    code, said = imagequeue("enqueue", "--file", "jobs.jsonl")
    assert (code, said.startswith(line.removesuffix("..."))) == (2, True)


def test_a_finding_of_the_prompt_check(imagequeue: Command) -> None:
    asked, *said, _ = shown("docs/prompts.md", "$ imagequeue enqueue --check")
    prompt = asked.partition('"')[2].rstrip('"')
    code, err = imagequeue("enqueue", "--block", "--prompt", prompt)
    assert (code, err.splitlines()[: len(said)]) == (2, said)


def test_the_end_of_the_demonstration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the figures of the page, which are those of one run."""
    parts = (("high", 200, 12_520, 2.0), ("default", 400, 25_120, 4.0), ("low", 400, 25_440, 7.2))
    lines = tuple(
        PriorityAccount(priority=name, jobs=jobs, images=jobs, nano_usd=milli * 1_000_000, wait_s=wait)
        for name, jobs, milli, wait in parts
    )
    account = Account(
        priorities=lines, jobs=1_000, succeeded=1_000, lost=(), missing_images=0,
        ledger_nano=63_080_000_000, bill_nano=63_080_000_000, different_calls=0, open_attempts=0,
    )  # fmt: skip
    ran = Ran(
        account=account, doubts=Settled(billed=2, not_billed=1),
        seconds=14.1, pace=152.0, ceiling=10_000 / 60, refused=3, provoked=3,
    )  # fmt: skip
    print_ending(ran, load_settings({}, tmp_path), tmp_path, dashboard=None)
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    page = shown("docs/get-started.md", "PRIORITY")
    assert printed[1 : len(page) + 1] == page
