"""`imagequeue catalog` shows every model with its state, figures with source and date, and where sources disagree."""

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from imagequeue.config.errors import JobRefused
from imagequeue.producer.commands.catalog import register


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """Return an application with the command alone, in an empty folder and without our variables."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("IMAGEQUEUE_")]:
        monkeypatch.delenv(name)
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return app


def printed(app: typer.Typer, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["catalog", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_overview_marks_retired_models_and_cites_its_figures(app: typer.Typer) -> None:
    text = printed(app)
    row = next(line for line in text.splitlines() if line.startswith("dall-e-3 "))
    assert "retired 2026-05-12, use gpt-image-2.5-sunburst" in row
    assert "image: $0.04 to $0.12" in row
    assert "oai-pricing-2026-02" in row
    assert "2026-02-26" in row
    assert "users report 7 to 50 enforced" in text
    assert "250 / 8M" in text
    assert "$1,000 paid" in text


def test_one_model_is_shown_with_every_figure(app: typer.Typer) -> None:
    lines = [" ".join(line.split()) for line in printed(app, "--model", "dall-e-3").splitlines()]
    assert any(line.startswith("image, hd, from 2023-11-06 1024x1024 $0.08, 1024x1792 $0.12") for line in lines)
    assert any(line.startswith("ceiling, tier 3 5,000 images a minute oai-model-dalle3-zh 2026-09") for line in lines)
    assert any(line.startswith("users report, tier 3 7 images a minute") for line in lines)
    assert any(line.startswith("oai-pricing-2026-02: OpenAI docs, Pricing") for line in lines)
    assert not any("gpt-image-2 " in line and line.startswith("gpt-image-2") for line in lines)


def test_json_holds_every_figure_with_dollars_as_text(app: typer.Typer) -> None:
    document = json.loads(printed(app, "--json", "--model", "dall-e-3", "--model", "gpt-image-2"))
    dall_e, gpt = document["models"]
    assert dall_e["image_prices"][0]["usd"]["hd"]["1024x1792"] == "0.120000000"
    assert dall_e["state"] == "retired"
    assert dall_e["limits"]["tiers"]["5"]["images_per_minute"] == 10_000
    assert gpt["token_prices"][0]["usd_per_1m_tokens"]["image_output"] == "30.000000000"
    assert gpt["token_prices"][0]["source"] == ["litellm-1.109.1", "oai-changelog-2026-09"]
    assert {tier["tier"]: tier["monthly_limit_usd"] for tier in document["tiers"]}["5"] == "200000.000000000"
    assert document["sources"]["litellm-1.109.1"]["as_of"]
    assert document["disagreements"]


def test_figures_of_ones_own_show_as_ones_own(app: typer.Typer, tmp_path: Path) -> None:
    toml = '[catalog.models.flux]\nimage_prices = [{ usd = { "*" = { "*" = "0.003" } } }]\n'
    (tmp_path / "imagequeue.toml").write_text(toml, encoding="utf-8")
    row = next(line.split() for line in printed(app).splitlines() if line.startswith("flux "))
    assert row == ["flux", "active", "image:", "$0.003", "to", "$0.003", "yours"]


def test_an_unknown_model_is_refused_with_the_nearest_name(app: typer.Typer) -> None:
    with pytest.raises(JobRefused, match=r"unknown model 'dalle-3'; did you mean dall-e-3\?"):
        printed(app, "--model", "dalle-3")
