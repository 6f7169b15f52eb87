"""docs/configure.md is true: it names every setting and default, and every example loads."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from imagequeue.config.catalog import load_catalog
from imagequeue.config.catalog.records import Accepts, Model
from imagequeue.config.orgs import Org
from imagequeue.config.settings import Settings
from imagequeue.config.webhooks import Webhook

Load = Callable[..., Settings]

PAGE = (Path(__file__).parents[2] / "docs" / "configure.md").read_text(encoding="utf-8")
ROWS = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| (.*?) \| ", PAGE, re.MULTILINE)}
KEYS = {
    "OPENAI_API_KEY": "k",
    "OPENAI_ADMIN_KEY": "k",
    "AZURE_OPENAI_KEY": "k",
    "SHOP_WEBHOOK_SECRET": "whsec_" + "A" * 32,
}


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", examples("toml"), ids=range(len(examples("toml"))))
def test_every_toml_example_loads(load: Load, tmp_path: Path, example: str) -> None:
    (tmp_path / "key").write_text("k", encoding="utf-8")
    toml = example.replace("/run/secrets/openai-second", "key")
    settings = load(toml, **KEYS)
    given = tomllib.loads(toml)
    assert given
    assert len(settings.orgs) == len(given.get("orgs", ["main"]))
    assert load_catalog(settings.catalog).models


def test_the_json_example_loads(load: Load) -> None:
    (example,) = examples("json")
    assert load(IMAGEQUEUE_ORGS=example, **KEYS).orgs[0].limits["dall-e-3"].images_per_minute == 5000
    assert json.loads(example)[0]["name"] == "main"


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - {"orgs"}))
def test_every_setting_has_a_row(name: str) -> None:
    assert name in ROWS


@pytest.mark.parametrize("name", Webhook.model_fields)
def test_every_key_of_a_webhook_endpoint_has_a_row(name: str) -> None:
    assert {"secrets": "secret"}.get(name, name) in ROWS


@pytest.mark.parametrize("name", Org.model_fields)
def test_every_key_of_an_organization_has_a_row(name: str) -> None:
    assert name in ROWS


@pytest.mark.parametrize("name", sorted({*Model.model_fields, *Accepts.model_fields} - {"name", "batch_note"}))
def test_every_key_of_a_model_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    "name",
    [name for name, field in Settings.model_fields.items() if isinstance(field.default, int | float | str)],
)
def test_defaults_on_the_page_are_the_defaults(load: Load, name: str) -> None:
    value = getattr(load(), name)
    assert ROWS[name][0] == (f"`{value}`" if isinstance(value, str | int) else f"`{value:g}`")
