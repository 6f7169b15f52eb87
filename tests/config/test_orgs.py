"""Organizations: keys come from a variable or a file, and what is wrong is named with its place in the list."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from imagequeue.config.errors import ConfigError
from imagequeue.config.orgs import Org
from imagequeue.config.settings import Settings

Load = Callable[..., Settings]


def read(load: Load, *entries: object, **environ: str) -> tuple[Org, ...]:
    return load(IMAGEQUEUE_ORGS=json.dumps(entries), **environ).orgs


def test_the_documented_example_is_read_whole(load: Load) -> None:
    entry = {
        "name": "main",
        "api_key": "env:OPENAI_API_KEY",
        "base_url": "https://api.openai.com/v1/",
        "tier": "3",
        "weight": 1,
        "monthly_cap_usd": "1000.00",
        "limits": {"dall-e-3": {"images_per_minute": 5000, "tokens_per_minute": None}},
        "admin_key": "env:OPENAI_ADMIN_KEY",
        "project": None,
        "kind": "openai",
    }
    (org,) = read(load, entry, OPENAI_API_KEY="sk-1", OPENAI_ADMIN_KEY="sk-2")
    assert org.base_url == "https://api.openai.com/v1"
    assert org.monthly_cap_nano_usd == 10**12
    assert org.limits["dall-e-3"].images_per_minute == 5000
    assert org.admin_key is not None
    assert org.admin_key.get_secret_value() == "sk-2"
    assert org.is_openai


def test_organizations_can_be_tables_of_the_file(load: Load) -> None:
    toml = '[[orgs]]\nname = "a"\napi_key = "env:K"\ntier = 2\n\n[[orgs]]\nname = "b"\napi_key = "env:K"\n'
    assert [(org.name, org.tier) for org in load(toml, K="k").orgs] == [("a", "2"), ("b", "1")]


def test_a_key_file_is_read_without_its_line_end(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-in-file\n", encoding="utf-8")
    assert read(load, {"name": "a", "api_key": "file:key"})[0].api_key.get_secret_value() == "sk-in-file"


def test_a_variable_of_our_prefix_may_hold_a_key(load: Load) -> None:
    org = read(load, {"name": "a", "api_key": "env:IMAGEQUEUE_KEY_A"}, IMAGEQUEUE_KEY_A="k")[0]
    assert org.api_key.get_secret_value() == "k"


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:9", "127.8.8.8", "sim.localhost:1"])
def test_a_literal_key_is_taken_on_this_machine(load: Load, host: str) -> None:
    assert read(load, {"name": "a", "api_key": "k", "base_url": f"http://{host}/v1"})[0].is_loopback


@pytest.mark.parametrize("host", ["10.0.0.1", "example.com", "localhost.example.com", "0.0.0.0", "127.0.0.1.nip.io"])  # noqa: S104 - an address to refuse
def test_a_literal_key_is_refused_elsewhere(load: Load, host: str) -> None:
    with pytest.raises(ConfigError, match="a literal key is accepted only for a loopback base_url"):
        read(load, {"name": "a", "api_key": "k", "base_url": f"http://{host}/v1"})


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"name": "a", "api_key": "env:NOT_SET"}, "[0].api_key: the environment variable NOT_SET is not set"),
        ({"name": "a", "api_key": "file:nowhere"}, "[0].api_key: cannot read "),
        ({"name": "a", "api_key": 5}, "[0].api_key: env:NAME or file:PATH is needed"),
        ({"name": "a"}, "[0]: api_key is needed: env:NAME or file:PATH"),
        ({"api_key": "env:K"}, "[0].name: Field required"),
        ({"name": "a b", "api_key": "env:K"}, "[0].name: String should match"),
        ({"name": "a", "api_key": "env:K", "teir": "1"}, "[0].teir: unknown key; did you mean tier?"),
        ({"name": "a", "api_key": "env:K", "tier": "9"}, ": organization a: unknown tier '9'; accepted: free, 1, 2"),
        ({"name": "a", "api_key": "env:K", "weight": 0}, "[0].weight: Input should be greater than 0"),
        ({"name": "a", "api_key": "env:K", "monthly_cap_usd": "-1"}, "[0].monthly_cap_usd: an amount of dollars"),
        ({"name": "a", "api_key": "env:K", "monthly_cap_usd": True}, "[0].monthly_cap_usd: an amount of dollars"),
        ({"name": "a", "api_key": "env:K", "kind": "other"}, "[0].kind: Input should be 'openai', 'azure' or"),
        ({"name": "a", "api_key": "env:K", "kind": "azure"}, "[0]: base_url is needed for kind azure"),
        ({"name": "a", "api_key": "env:K", "base_url": "ftp://h"}, "[0].base_url: a URL with http or https"),
        ({"name": "a", "api_key": "env:K", "base_url": "https://h:x"}, "[0].base_url: a URL with http or https"),
        ({"name": "a", "api_key": "env:K", "base_url": "https://u:p@h"}, "[0].base_url: a URL without user"),
        ({"name": "a", "api_key": "env:K", "limits": {"dalle-3": {}}}, ": organization a: limits: unknown model"),
        (
            {"name": "a", "api_key": "env:K", "limits": {"dall-e-3": {"ipm": 1}}},
            "[0].limits.dall-e-3.ipm: unknown key; known: images_per_minute, tokens_per_minute",
        ),
        (
            {"name": "a", "api_key": "env:K", "limits": {"dall-e-3": {"images_per_minute": -1}}},
            "[0].limits.dall-e-3.images_per_minute: Input should be greater than or equal to 0",
        ),
        ("main", "[0]: a table is needed"),
    ],
)
def test_a_wrong_entry_is_named_with_its_place(load: Load, entry: object, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(load, entry, K="k")
    assert str(error.value).startswith(f"IMAGEQUEUE_ORGS{line}")
    assert "\n" not in str(error.value)


def test_two_organizations_of_one_name_are_refused(load: Load) -> None:
    entry = {"name": "a", "api_key": "env:K"}
    with pytest.raises(ConfigError, match="two organizations are named a"):
        read(load, entry, entry, K="k")


def test_a_compatible_server_may_go_without_a_key(load: Load) -> None:
    org = read(load, {"name": "lab", "kind": "compatible", "base_url": "http://10.0.0.5:8080/v1"})[0]
    assert org.api_key.get_secret_value() == ""
    assert not org.is_openai
