"""Webhook endpoints: who is told when a job ends, where, and which of them a job may name itself.

Messages follow Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md).
"""

import base64
import binascii
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from imagequeue.config.errors import ConfigError, JobRefused
from imagequeue.config.job import Job, Name
from imagequeue.config.nearest import did_you_mean
from imagequeue.config.orgs import is_loopback, read_secret

Event = Literal["job.succeeded", "job.failed", "job.cancelled", "job.expired"]
EVENTS: Final[tuple[Event, ...]] = ("job.succeeded", "job.failed", "job.cancelled", "job.expired")

ENDPOINTS_MAX: Final = 1_000
SECRETS_MAX: Final = 4
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with
SECRET_BYTES: Final = 32
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
"""As the standard asks."""
URL_CHARACTERS_MAX: Final = 2048

DOTS: Final = re.compile(r"(^|/)(\.|%2e){1,2}(/|$)|\\", re.IGNORECASE)
"""Parts of a path that lead out of it."""


class Webhook(BaseModel):
    """One endpoint. `secrets`: the first signs, and so do the others while they are being rotated out.

    `tenants` empty: those of every tenant. `jobs` says whether it is told of all their jobs or only of those that name
    it in `webhook`; with `prefix` a job may name any address under it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Name
    url: Annotated[str, Field(max_length=URL_CHARACTERS_MAX)]
    secrets: Annotated[tuple[SecretStr, ...], Field(min_length=1, max_length=SECRETS_MAX)]
    tenants: tuple[Name, ...] = ()
    events: Annotated[tuple[Event, ...], Field(min_length=1)] = EVENTS
    jobs: Literal["all", "named"] = "all"
    prefix: bool = False
    allow_private: bool = False
    prompt: bool = False

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str) -> str:
        parts = _split(url)
        if parts is None or parts.query:
            raise ValueError("a URL with http or https and a host is needed, without user, query or fragment")
        return url

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.url.startswith("http:") and not self.allow_private:
            raise ValueError("url: https is needed; http only with allow_private = true")
        for secret in self.secrets:
            signing_key(secret)
        return self

    def serves(self, tenant: str) -> bool:
        """Return whether it may hear of a tenant's jobs."""
        return not self.tenants or tenant in self.tenants

    def covers(self, url: str) -> bool:
        """Return whether an address is this endpoint's: the same, or with `prefix` one below it."""
        if url == self.url:
            return True
        parts, own = _split(url), _split(self.url)
        if not self.prefix or parts is None or own is None or DOTS.search(parts.path):
            return False
        folder = own.path if own.path.endswith("/") else f"{own.path}/"
        return (parts.scheme, parts.netloc) == (own.scheme, own.netloc) and f"{parts.path}/".startswith(folder)


def signing_key(secret: SecretStr) -> bytes:
    """Return the bytes that sign; ValueError when the secret is none of the standard's."""
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError(
            f"secret: {SECRET_PREFIX} and {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes in base64 are needed; "
            "`imagequeue webhooks secret` makes one"
        )
    return key


def new_secret() -> str:
    """Return a new secret, of random bytes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def endpoint_of(endpoints: Sequence[Webhook], url: str) -> Webhook | None:
    """Return the endpoint that an address belongs to: the nearest one above it, None when there is none."""
    covering = [endpoint for endpoint in endpoints if endpoint.covers(url)]
    return max(covering, key=lambda endpoint: (endpoint.url == url, len(endpoint.url)), default=None)


def check_webhook(job: Job, endpoints: Sequence[Webhook]) -> None:
    """JobRefused when a job names an address that is no configured endpoint of its tenant."""
    if job.webhook is None:
        return
    endpoint = endpoint_of(endpoints, job.webhook)
    if endpoint is None or not endpoint.serves(job.tenant):
        raise JobRefused("webhook", "the address of a configured endpoint of the job's tenant is needed ([[webhooks]])")


def targets(job: Job, event: Event, endpoints: Sequence[Webhook]) -> dict[str, Webhook]:
    """Return where an event of a job is told: address -> endpoint. What the job names comes first."""
    mine = [endpoint for endpoint in endpoints if endpoint.serves(job.tenant) and event in endpoint.events]
    named = endpoint_of(endpoints, job.webhook) if job.webhook else None
    found = {str(job.webhook): named} if named in mine and named is not None else {}
    for endpoint in mine:
        if endpoint.jobs == "all" and endpoint is not named:
            found[endpoint.url] = endpoint
    return found


def read_webhooks(
    entries: object, *, environ: Mapping[str, str], folder: Path, where: str, keys_needed: bool = True
) -> tuple[Webhook, ...]:
    """Return the endpoints in a decoded list, secrets resolved; ConfigError begins with `where` and the key.

    `file:` paths are relative to `folder`. With `keys_needed` false a secret that is not here is no error: a random one
    that no receiver knows stands for it, in a process that sends no message.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise ConfigError(f"{where}: a list of endpoints is needed")
    if len(entries) > ENDPOINTS_MAX:
        raise ConfigError(f"{where}: at most {ENDPOINTS_MAX} endpoints")
    stand_ins = [None if keys_needed else new_secret() for _ in entries]
    endpoints = tuple(
        _read(entry, environ, folder, f"{where}[{i}]", stand_in)
        for i, (entry, stand_in) in enumerate(zip(entries, stand_ins, strict=True))
    )
    _check_differ(endpoints, where)
    return endpoints


def webhook_variables(entries: object) -> set[str]:
    """Return the environment variables that the endpoints' secrets are read from."""
    tables = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, Sequence) else []
    values = [str(value) for table in tables for value in _listed(table.get("secret"))]
    return {value.removeprefix("env:") for value in values if value.startswith("env:")}


def _read(entry: object, environ: Mapping[str, str], folder: Path, where: str, stand_in: str | None) -> Webhook:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: a table is needed, with name, url and secret")
    known = ["secret" if name == "secrets" else name for name in Webhook.model_fields]
    for key in entry:
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown key{did_you_mean(str(key), known)}; known: {', '.join(known)}")
    literal = is_loopback(str(entry.get("url", "")))
    sources = _listed(entry.get("secret"))
    found = [
        read_secret(one, environ, folder, f"{where}.secret", literal_allowed=literal, stand_in=stand_in)
        for one in sources
    ]
    values = {**{key: value for key, value in entry.items() if key != "secret"}, "secrets": found}
    try:
        return Webhook.model_validate(values)
    except ValidationError as error:
        raise _config_error(error, where) from None  # the cause could print a secret


def _listed(value: object) -> list[object]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _config_error(error: ValidationError, where: str) -> ConfigError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    key = "".join(f".{'secret' if part == 'secrets' else part}" for part in first["loc"])
    if first["type"] == "too_short" and key == ".secret":
        return ConfigError(f"{where}.secret: env:NAME or file:PATH is needed; `imagequeue webhooks secret` makes one")
    return ConfigError(f"{where}{key}: {first['msg'].removeprefix('Value error, ')}")


def _check_differ(endpoints: Sequence[Webhook], where: str) -> None:
    """A secret belongs to one endpoint alone, or one receiver could forge messages to another."""
    owners: dict[tuple[str, object], int] = {}
    for place, endpoint in enumerate(endpoints):
        keys = [("secret", signing_key(secret)) for secret in endpoint.secrets]
        for mark in [("name", endpoint.name), ("url", endpoint.url), *keys]:
            owner = owners.setdefault(mark, place)
            if owner != place:
                raise ConfigError(
                    f"{where}[{place}].{mark[0]}: {endpoints[owner].name} has the same; each needs its own"
                )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number from 0 to 65535
    except ValueError:
        return None
    plain = not (parts.username or parts.password or parts.fragment) and url.isprintable() and " " not in url
    return parts if parts.scheme in {"http", "https"} and parts.hostname and plain else None
