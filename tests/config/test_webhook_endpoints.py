"""Webhook endpoints: what the configuration accepts, and which address a job may name."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from imagequeue.config.errors import ConfigError, JobRefused
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings
from imagequeue.config.webhooks import Webhook, check_webhook, endpoint_of, new_secret, signing_key, targets

Load = Callable[..., Settings]

SECRET = new_secret()


def endpoint(**changes: object) -> Webhook:
    values = {"name": "shop", "url": "https://shop.example/hooks", "secrets": (SecretStr(new_secret()),)}
    return Webhook.model_validate(values | changes)


def toml(**changes: str) -> str:
    values = {"name": '"shop"', "url": '"https://shop.example/"', "secret": '"env:HOOK"'} | changes
    return "[[webhooks]]\n" + "\n".join(f"{key} = {value}" for key, value in values.items())


def test_an_endpoint_is_read_with_its_secret_and_shows_it_nowhere(load: Load) -> None:
    settings = load(toml(tenants='["red"]'), HOOK=SECRET)
    (found,) = settings.webhooks
    assert signing_key(found.secrets[0]) == signing_key(SecretStr(SECRET))
    assert found.tenants == ("red",)
    assert SECRET not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()


def test_a_list_of_secrets_is_for_rotation_and_files_are_read(load: Load, tmp_path: object) -> None:
    (tmp_path / "old").write_text(new_secret())  # type: ignore[operator]  # a Path
    (found,) = load(toml(secret='["env:HOOK", "file:old"]'), HOOK=SECRET).webhooks
    assert len(found.secrets) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secret": '"plain"'}, r"secret: env:NAME or file:PATH is needed"),
        ({"secret": '"env:NOPE"'}, "NOPE is not set"),
        ({"secret": '"env:SHORT"'}, "whsec_ and 24 to 64 bytes"),
        ({"secret": "[]"}, "secret: env:NAME or file:PATH is needed"),
        ({"url": '"ftp://shop.example/"'}, "url: a URL with http or https"),
        ({"url": '"https://user:pw@shop.example/"'}, "url: a URL with http or https"),
        ({"url": '"http://shop.example/"'}, "https is needed"),
        ({"events": '["job.done"]'}, "events"),
        ({"jobs": '"some"'}, "jobs"),
        ({"sekret": '"x"'}, "unknown key"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_key(load: Load, changes: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        load(toml(**changes), HOOK=SECRET, SHORT="whsec_c2hvcnQ=")
    assert str(refused.value).count("\n") == 0
    assert "c2hvcnQ" not in str(refused.value)


@pytest.mark.parametrize(
    ("second", "same"),
    [
        ({}, "name"),
        ({"name": '"b"'}, "url"),
        ({"name": '"b"', "url": '"https://b.example/"'}, "secret"),
    ],
)
def test_endpoints_share_no_name_address_or_secret(load: Load, second: dict[str, str], same: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[1\]\.{same}: shop has the same"):
        load(f"{toml()}\n{toml(**second)}", HOOK=SECRET)


@pytest.mark.parametrize(
    ("url", "covered"),
    [
        ("https://shop.example/hooks", True),
        ("https://shop.example/hooks/", True),
        ("https://shop.example/hooks/7?order=1", True),
        ("https://shop.example/hooks2", False),
        ("https://shop.example/", False),
        ("http://shop.example/hooks/7", False),
        ("https://shop.example:444/hooks/7", False),
        ("https://shop.example.evil/hooks/7", False),
        ("https://evil@shop.example/hooks/7", False),
        ("https://shop.example/hooks/../admin", False),
        ("https://shop.example/hooks/%2e%2E/admin", False),
        ("https://shop.example/hooks/..", False),
        ("https://shop.example/hooks\\..\\admin", False),
        ("https://shop.example/hooks/#x", False),
        ("https://shop.example/hooks/a b", False),
        ("nonsense", False),
    ],
)
def test_a_prefix_covers_what_is_below_it_and_nothing_else(url: str, covered: bool) -> None:  # noqa: FBT001 - a table
    assert endpoint(prefix=True).covers(url) is covered


def test_without_prefix_only_the_address_itself_is_covered() -> None:
    assert endpoint().covers("https://shop.example/hooks")
    assert not endpoint().covers("https://shop.example/hooks/7")


def test_a_job_may_name_endpoints_of_its_own_tenant_only() -> None:
    mine = endpoint(tenants=("red",))
    check_webhook(Job(prompt="x"), [])
    check_webhook(Job(prompt="x", tenant="red", webhook=mine.url), [mine])
    for tenant, url in (("blue", mine.url), ("red", "https://other.example/")):
        with pytest.raises(JobRefused, match=r"^webhook: "):
            check_webhook(Job(prompt="x", tenant=tenant, webhook=url), [mine])


def test_the_nearest_endpoint_is_the_one_that_signs() -> None:
    wide = endpoint(name="wide", url="https://shop.example/", prefix=True)
    near = endpoint(name="near", prefix=True)
    assert endpoint_of([wide, near], "https://shop.example/hooks/1") is near
    assert endpoint_of([wide, near], "https://shop.example/else") is wide
    assert endpoint_of([near], "https://shop.example/else") is None


def test_a_job_is_told_to_those_who_hear_all_and_to_the_one_it_names_once() -> None:
    everything = endpoint(name="all", url="https://all.example/")
    named = endpoint(jobs="named")
    failures = endpoint(name="failures", url="https://failures.example/", events=("job.failed",))
    other = endpoint(name="other", url="https://other.example/", tenants=("blue",))
    endpoints = [everything, named, failures, other]

    def told(event: str, **fields: object) -> list[str]:
        return sorted(targets(Job(prompt="x", **fields), event, endpoints))  # type: ignore[arg-type]  # by name

    assert told("job.succeeded") == [everything.url]
    assert told("job.succeeded", webhook=named.url) == [everything.url, named.url]
    assert told("job.failed", webhook=everything.url) == [everything.url, failures.url]
    assert told("job.expired", tenant="blue") == [everything.url, other.url]
