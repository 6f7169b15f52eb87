"""Settings come from the environment over the file over defaults; every mistake is one line with the name in it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from imagequeue.config.errors import ConfigError
from imagequeue.config.keys import Keys
from imagequeue.config.settings import Settings, load_settings

Load = Callable[..., Settings]


def test_nothing_configured_gives_the_documented_defaults(load: Load, tmp_path: Path) -> None:
    settings = load()
    assert settings.data_dir == tmp_path / ".imagequeue"
    assert settings.redis_url is None
    assert settings.ledger_url.get_secret_value() == f"sqlite:///{tmp_path}/.imagequeue/ledger.sqlite3"
    assert settings.store_url == f"file://{tmp_path}/.imagequeue/images"
    assert settings.orgs == ()
    assert settings.models == ("dall-e-3", "gpt-image-2")
    assert settings.cache == "off"
    assert settings.public_url is None
    assert (settings.pace_fraction, settings.burst_seconds) == (0.9, 0.1)
    assert (settings.lease_seconds, settings.call_timeout_seconds) == (15, 300)
    assert settings.api_keys_file == tmp_path / ".imagequeue/api-keys.json"
    assert (settings.drain_seconds, settings.max_in_flight, settings.result_ttl_seconds) == (60, 4000, 604_800)
    assert (settings.share_default, settings.share_low) == (0.05, 0.01)
    assert settings.keys == Keys()


def test_openai_api_key_alone_makes_the_organization_main(load: Load) -> None:
    (org,) = load(OPENAI_API_KEY="sk-canary").orgs
    assert (org.name, org.tier, org.base_url) == ("main", "1", "https://api.openai.com/v1")
    assert org.api_key.get_secret_value() == "sk-canary"


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(load: Load) -> None:
    settings = load('cache = "use"\nlease_seconds = 20\n', IMAGEQUEUE_CACHE="refresh")
    assert (settings.cache, settings.lease_seconds, settings.burst_seconds) == ("refresh", 20, 0.1)


def test_an_empty_variable_counts_as_not_set(load: Load) -> None:
    assert load(IMAGEQUEUE_REDIS_URL="", IMAGEQUEUE_CACHE="", OPENAI_API_KEY="").redis_url is None


def test_variables_that_are_no_settings_are_not_refused(load: Load) -> None:
    assert load(IMAGEQUEUE_DEBUG="1", IMAGEQUEUE_CRASH_AT="hold.after").cache == "off"


def test_data_dir_moves_what_is_kept_in_it(load: Load, tmp_path: Path) -> None:
    settings = load(IMAGEQUEUE_DATA_DIR="other/../data")
    assert settings.data_dir == tmp_path / "data"
    assert settings.api_keys_file == tmp_path / "data/api-keys.json"
    assert settings.store_url == f"file://{tmp_path}/data/images"


def test_another_file_is_read_when_named_and_must_exist(load: Load, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("max_in_flight = 7\n", encoding="utf-8")
    assert load("max_in_flight = 5\n", IMAGEQUEUE_CONFIG="other.toml").max_in_flight == 7
    with pytest.raises(ConfigError, match=r"^IMAGEQUEUE_CONFIG: there is no file .*none.toml$"):
        load(IMAGEQUEUE_CONFIG="none.toml")


def test_rq_key_prefix_is_rqs_own_variable(load: Load) -> None:
    assert load(RQ_KEY_PREFIX="blue").keys == Keys.under("blue")
    assert load('rq_key_prefix = "green"\n').keys == Keys.under("green")


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMAGEQUEUE_MAX_IN_FLIGHT", "12")
    monkeypatch.chdir(tmp_path)
    assert load_settings().max_in_flight == 12


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"IMAGEQUEUE_CASHE": "x"}, "IMAGEQUEUE_CASHE: unknown variable; did you mean IMAGEQUEUE_CACHE?"),
        ({"imagequeue_nonsense_xyzw": "x"}, "imagequeue_nonsense_xyzw: unknown variable"),
        ({"IMAGEQUEUE_CACHE": "on"}, "IMAGEQUEUE_CACHE: Input should be 'off', 'use' or 'refresh'"),
        ({"IMAGEQUEUE_PACE_FRACTION": "0"}, "IMAGEQUEUE_PACE_FRACTION: Input should be greater than 0"),
        ({"IMAGEQUEUE_PACE_FRACTION": "1.1"}, "IMAGEQUEUE_PACE_FRACTION: Input should be less than or equal to 1"),
        ({"IMAGEQUEUE_LEASE_SECONDS": "nan"}, "IMAGEQUEUE_LEASE_SECONDS: Input should be"),
        ({"IMAGEQUEUE_MAX_IN_FLIGHT": "many"}, "IMAGEQUEUE_MAX_IN_FLIGHT: Input should be a valid integer"),
        ({"IMAGEQUEUE_MODELS": "dall-e-3"}, "IMAGEQUEUE_MODELS: valid JSON is needed"),
        ({"IMAGEQUEUE_MODELS": "[]"}, "IMAGEQUEUE_MODELS: "),
        ({"IMAGEQUEUE_MODELS": '["dalle-3"]'}, "IMAGEQUEUE_MODELS: unknown model 'dalle-3'; did you mean dall-e-3?"),
        ({"IMAGEQUEUE_REDIS_URL": "http://h"}, "IMAGEQUEUE_REDIS_URL: redis://, rediss:// or unix://"),
        ({"IMAGEQUEUE_LEDGER_URL": "mysql://h"}, "IMAGEQUEUE_LEDGER_URL: sqlite:///PATH or postgresql://"),
        ({"IMAGEQUEUE_STORE_URL": "ftp://h"}, "IMAGEQUEUE_STORE_URL: file:///PATH, s3://BUCKET"),
        ({"IMAGEQUEUE_PUBLIC_URL": "cdn"}, "IMAGEQUEUE_PUBLIC_URL: a URL with http or https"),
        ({"IMAGEQUEUE_SHARE_LOW": "0.9"}, "IMAGEQUEUE_SHARE_LOW: Input should be less than"),
        ({"IMAGEQUEUE_LOG_LEVEL": "loud"}, "IMAGEQUEUE_LOG_LEVEL: Input should be 'debug'"),
        ({"IMAGEQUEUE_TENANT_CAPS": '{"a":{"dai_usd":1}}'}, "IMAGEQUEUE_TENANT_CAPS, a, dai_usd: unknown key"),
        ({"IMAGEQUEUE_TENANT_CAPS": '{"a":{"day_usd":-1}}'}, "IMAGEQUEUE_TENANT_CAPS, a, day_usd: an amount"),
        ({"IMAGEQUEUE_TENANT_WEIGHTS": '{"a":0}'}, "IMAGEQUEUE_TENANT_WEIGHTS, a: Input should be greater than 0"),
        ({"RQ_KEY_PREFIX": "a b"}, "RQ_KEY_PREFIX: "),
        ({"IMAGEQUEUE_CATALOG": '{"modles": {}}'}, "catalog.modles: unknown key; did you mean models?"),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(load: Load, environ: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(**environ)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("toml", "pattern"),
    [
        ("lease_secs = 1\n", r"^lease_secs in .*imagequeue.toml: unknown key; did you mean lease_seconds\?"),
        ("lease_seconds = 0\n", r"^lease_seconds in .*imagequeue.toml: Input should be greater"),
        ("lease_seconds = \n", r"imagequeue.toml: not readable as TOML"),
        ("orgs = 1\n", r"^orgs in .*imagequeue.toml: a list of organizations is needed"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(load: Load, toml: str, pattern: str) -> None:
    with pytest.raises(ConfigError, match=pattern):
        load(toml)


def test_tenant_caps_are_exact_nano_dollars(load: Load) -> None:
    caps = load("[tenant_caps.shop]\nday_usd = 0.1\ntotal_usd = '1000.00'\n").tenant_caps["shop"]
    assert (caps.day_nano_usd, caps.month_nano_usd, caps.total_nano_usd) == (100_000_000, None, 10**12)


KEYED = """
[[orgs]]
name = "main"
api_key = "env:SHOP_KEY"
admin_key = "file:admin.key"
[[webhooks]]
name = "orders"
url = "https://shop.example/hook"
secret = "env:HOOK_SECRET"
[[webhooks]]
name = "audit"
url = "https://audit.example/hook"
secret = ["file:old.key", "file:new.key"]
"""


def test_who_calls_nobody_needs_no_keys(tmp_path: Path) -> None:
    (tmp_path / "imagequeue.toml").write_text(KEYED)
    settings = load_settings({}, tmp_path, keys_needed=False)
    assert [org.name for org in settings.orgs] == ["main"]
    assert settings.orgs[0].admin_key is not None
    assert [endpoint.name for endpoint in settings.webhooks] == ["orders", "audit"]
    with pytest.raises(ConfigError, match=r"\.api_key: the environment variable SHOP_KEY is not set"):
        load_settings({}, tmp_path)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (KEYED.replace("env:SHOP_KEY", "sk-canary"), "a literal key is accepted only for a loopback base_url"),
        (KEYED.replace('api_key = "env:SHOP_KEY"', ""), "api_key is needed"),
        (KEYED.replace('secret = "env:HOOK_SECRET"', ""), "secret: env:NAME or file:PATH is needed"),
    ],
    ids=["a literal", "no key", "no secret"],
)
def test_where_a_key_comes_from_must_be_said_also_where_it_is_not_needed(tmp_path: Path, wrong: str, line: str) -> None:
    (tmp_path / "imagequeue.toml").write_text(wrong)
    with pytest.raises(ConfigError, match=line):
        load_settings({}, tmp_path, keys_needed=False)


def test_settings_cannot_be_changed(load: Load) -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.cache = "use"  # type: ignore[misc]  # the point of the test


def test_no_secret_is_shown(load: Load) -> None:
    canary = "canary-7d1e"
    settings = load(
        OPENAI_API_KEY=f"sk-{canary}",
        ADMIN=f"ad-{canary}",
        IMAGEQUEUE_REDIS_URL=f"redis://user:{canary}@host/0",
        IMAGEQUEUE_LEDGER_URL=f"postgresql+psycopg://user:{canary}@host/db",
        IMAGEQUEUE_ORGS=json.dumps([{"name": "a", "api_key": "env:OPENAI_API_KEY", "admin_key": "env:ADMIN"}]),
    )
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump()), f"{settings.orgs}"]
    assert not [text for text in shown if canary in text]
    assert canary in settings.orgs[0].api_key.get_secret_value()


@pytest.mark.parametrize(
    "environ",
    [
        {"IMAGEQUEUE_ORGS": '[{"name": "a", "api_key": "canary-7d1e"}]'},
        {"IMAGEQUEUE_ORGS": '[{"name": "a", "api_key": "canary-7d1e"'},
        {"IMAGEQUEUE_ORGS": '[{"name": "a", "api_key": "env:K", "weight": -1}]', "K": "canary-7d1e"},
        {"IMAGEQUEUE_ORGS": '[{"name": "a", "api_key": "env:K"}]', "K": "canary-7d1e with space"},
        {"IMAGEQUEUE_REDIS_URL": "canary-7d1e"},
        {"IMAGEQUEUE_LEDGER_URL": "mysql://canary-7d1e@h"},
    ],
)
def test_no_error_shows_a_secret(load: Load, environ: dict[str, str]) -> None:
    """Nor does a cause that a traceback would print."""
    with pytest.raises(ConfigError) as error:
        load(**environ)
    shown: BaseException | None = error.value
    while shown is not None:
        assert "canary" not in f"{shown!r} {shown}"
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
