"""Every figure of the page on planning is what the command prints, and every option is on the page."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from imagequeue.config.errors import ImageQueueError, JobRefused
from imagequeue.producer.commands.plan import register

PAGE = Path(__file__).parents[2] / "docs" / "plan.md"
ROW = re.compile(r"\| (?:`(?P<command>[^`]+)`)? ?\| `(?P<path>[a-z_0-9.]+)` \| (?P<value>\S+) \|")


def examples() -> list[tuple[str, str, str]]:
    """Return command, JSON path and value of each row of the page's table of examples."""
    rows, command = [], ""
    for match in map(ROW.fullmatch, PAGE.read_text(encoding="utf-8").splitlines()):
        if match:
            command = match["command"] or command
            rows.append((command, match["path"], match["value"]))
    return rows


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """Return an application with the command alone, in an empty folder and without our variables."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith(("IMAGEQUEUE_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return app


def printed(app: typer.Typer, arguments: str) -> str:
    result = CliRunner().invoke(app, ["plan", *shlex.split(arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_every_example_of_the_page_holds(app: typer.Typer) -> None:
    rows = examples()
    assert len(rows) >= 20
    answers = {command: json.loads(printed(app, f"{command} --json")) for command in {row[0] for row in rows}}
    for command, path, expected in rows:
        found = answers[command]
        for key in path.split("."):
            found = found[int(key)] if isinstance(found, list) else found[key]
        shown = "null" if found is None else str(found)
        assert shown == expected, f"{command}: {path}"


def test_every_option_is_on_the_page(app: typer.Typer) -> None:
    page = PAGE.read_text(encoding="utf-8")
    command = typer.main.get_command(app)
    options = [option for parameter in command.commands["plan"].params for option in parameter.opts]  # type: ignore[attr-defined]  # a group
    assert [option for option in options if f"`{option}" not in page and option != "--help"] == []


def test_people_read_the_answer_the_costs_and_the_other_ways(app: typer.Typer) -> None:
    text = printed(app, "--images-per-day 100000 --model dall-e-3 --tier 1")
    assert "Binds first: monthly limit." in text
    assert "Lowest tier that fits: Tier 5; by pace alone: Tier 1." in text
    assert "$120,000.00" in text
    assert "spent in 0.5 minutes" not in text
    assert "Self-hosted diffusion" in text
    assert "Assumed;" in text
    assert "gpt-image-2" in text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("", "images-per-day"),
        ("--images-per-day 10 --images-per-month 10", "images-per-day"),
        ("--images-per-day many", "images-per-day"),
        ("--images-per-day nan", "images-per-day"),
        ("--images-per-day -1", "images-per-day"),
        ("--images-per-day 10 --cache-hit-rate 1.1", "cache-hit-rate"),
        ("--images-per-day 10 --batch-share -0.1", "batch-share"),
        ("--images-per-day 10 --regenerations 0.5", "regenerations"),
        ("--images-per-day 10 --orgs 0", "orgs"),
        ("--images-per-day 10 --tier 9", "tier"),
        ("--images-per-day 10 --model dall-e-9", "model"),
        ("--images-per-day 10 --model dall-e-3 --size 1x1", "size"),
        ("--images-per-day 10 --model dall-e-3 --quality best", "quality"),
        ("--images-per-day 10 --by 2099-01-01", "by"),
        ("--images 10 --by soon", "by"),
        ("--images 10 --by 2001-01-01", "by"),
        ("--images-per-day 10 --images 0", "images"),
        ("--images-per-day 10 --machine-usd lots", "machine-usd"),
        ("--images-per-day 10 --machine-images-per-second 0", "machine-images-per-second"),
        ("--images-per-day 10 --subscription-images 0", "subscription-images"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_its_option(app: typer.Typer, arguments: str, named: str) -> None:
    with pytest.raises(ImageQueueError, match=f"^{named}: ") as refused:
        CliRunner().invoke(app, ["plan", *shlex.split(arguments)], catch_exceptions=False)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, JobRefused) or named == "tier"


def test_a_configured_organization_is_planned_with_its_own_limits_and_cap(app: typer.Typer, tmp_path: Path) -> None:
    org = """[[orgs]]
name = "ours"
api_key = "local"
base_url = "http://127.0.0.1:1/v1"
tier = "5"
monthly_cap_usd = "60"
limits = { "dall-e-3" = { images_per_minute = 50 } }
"""
    (tmp_path / "imagequeue.toml").write_text(org, encoding="utf-8")
    found = json.loads(printed(app, "--images-per-day 100 --model dall-e-3 --json"))
    assert found["ceiling_images_per_minute"] == 50
    assert found["limits"]["monthly_cap"]["ceiling"] == "60.000000000"
    assert found["binding"] == {"limit": "monthly_cap", "share": 2, "verdict": "act"}
    assert found["orgs_needed"] == 2
