"""Organizations: whose key pays for calls, where they go, and which ceilings and caps hold. Keys are resolved here."""

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from imagequeue.config.errors import ConfigError
from imagequeue.config.job import Name
from imagequeue.config.money import NanoUsd, parse_usd
from imagequeue.config.nearest import did_you_mean

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
KEY_BYTES_MAX: Final = 8192
ORGS_MAX: Final = 1000
CREDITS_PER_CALL_MAX: Final = 1000
KEY_PATTERN: Final = re.compile(r"[\x21-\x7e]+")
SECRET_FIELDS: Final = ("api_key", "admin_key")
NOT_HERE: Final = "key-is-not-here"
"""Stands for a key in a process that calls no provider; a provider would refuse it."""

Rate = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


def _usd(amount: Decimal) -> Decimal:
    if parse_usd(amount) < 0:
        raise ValueError("an amount of dollars that is not negative is needed")
    return amount


def _not_bool(amount: object) -> object:
    if isinstance(amount, bool):
        raise ValueError('an amount of dollars is needed, e.g. "1000.00"')  # noqa: TRY004 - pydantic reads ValueError
    return str(amount) if isinstance(amount, float) else amount


Dollars = Annotated[Decimal, BeforeValidator(_not_bool), AfterValidator(_usd)]
"""An amount of dollars in the configuration; exact to the nano-dollar."""


class OrgLimits(BaseModel):
    """An organization's own ceilings for a model, per minute. A null lifts the ceiling, 0 forbids the model.

    A figure that is left out stays as the catalog's tier table says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    images_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None


class Org(BaseModel):
    """One organization (a key and what belongs to it). `base_url` is without a trailing slash.

    An empty `api_key` means that none is sent; only a compatible server or one on this machine may go without.
    `limits` goes by model or by limit group. `weight` shares jobs out among organizations that serve a model.
    `credits_per_call` is what a call takes from the organization's wallet, whatever it returns; 0: dollars pay.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Name
    api_key: SecretStr = SecretStr("")
    base_url: str = ""
    tier: Annotated[str, BeforeValidator(lambda tier: str(tier) if type(tier) is int else tier)] = "1"
    weight: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0
    monthly_cap_usd: Dollars | None = None
    credits_per_call: Annotated[int, Field(ge=0, le=CREDITS_PER_CALL_MAX, strict=True)] = 0
    limits: Mapping[str, OrgLimits] = {}
    admin_key: SecretStr | None = None
    project: str | None = None
    kind: Literal["openai", "azure", "compatible"] = "openai"

    @model_validator(mode="before")
    @classmethod
    def _default_base_url(cls, values: object) -> object:
        if isinstance(values, Mapping) and not values.get("base_url") and values.get("kind", "openai") == "openai":
            return {**values, "base_url": OPENAI_BASE_URL}
        return values

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if not self.base_url:
            raise ValueError(f"base_url is needed for kind {self.kind}")
        if not self.api_key.get_secret_value() and self.kind != "compatible" and not self.is_loopback:
            raise ValueError("api_key is needed: env:NAME or file:PATH")
        return self

    @property
    def monthly_cap_nano_usd(self) -> NanoUsd | None:
        """What may be spent in a calendar month (UTC); None is no cap."""
        return None if self.monthly_cap_usd is None else parse_usd(self.monthly_cap_usd)

    @property
    def is_loopback(self) -> bool:
        """Whether calls stay on this machine."""
        return is_loopback(self.base_url)

    @property
    def is_openai(self) -> bool:
        """Whether calls go to OpenAI itself, so that its dates of retirement hold."""
        host = urlsplit(self.base_url).hostname or ""
        return self.kind == "openai" and (host == "openai.com" or host.endswith(".openai.com"))


def read_orgs(
    entries: object, *, environ: Mapping[str, str], folder: Path, where: str, keys_needed: bool = True
) -> tuple[Org, ...]:
    """Return the organizations in a decoded list, keys resolved; ConfigError begins with `where` and the key.

    `file:` paths are relative to `folder`. With `keys_needed` false a key that is not here is no error, in a process
    that calls no provider.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise ConfigError(f"{where}: a list of organizations is needed")
    if len(entries) > ORGS_MAX:
        raise ConfigError(f"{where}: at most {ORGS_MAX} organizations")
    stand_in = None if keys_needed else NOT_HERE
    orgs = tuple(_read_org(entry, environ, folder, f"{where}[{i}]", stand_in) for i, entry in enumerate(entries))
    names = [org.name for org in orgs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where}: two organizations are named {name}; names must differ")
    return orgs


def referenced_variables(entries: object) -> set[str]:
    """Return the environment variables that the organizations' keys are read from."""
    tables = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, Sequence) else []
    values = [str(table.get(field, "")) for table in tables for field in SECRET_FIELDS]
    return {value.removeprefix("env:") for value in values if value.startswith("env:")}


def _read_org(entry: object, environ: Mapping[str, str], folder: Path, where: str, stand_in: str | None) -> Org:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: a table is needed, with name, api_key and what else differs from the defaults")
    for key in entry:
        if key not in Org.model_fields:
            raise ConfigError(f"{where}.{key}: unknown key{did_you_mean(str(key), Org.model_fields)}")
    values = dict(entry)
    if values.get("base_url"):
        values["base_url"] = _base_url(values["base_url"], f"{where}.base_url")
    literal_allowed = is_loopback(str(values.get("base_url", "")))
    for field in SECRET_FIELDS:
        if values.get(field) is not None:
            values[field] = read_secret(
                values[field], environ, folder, f"{where}.{field}", literal_allowed=literal_allowed, stand_in=stand_in
            )
    try:
        return Org.model_validate(values)
    except ValidationError as error:
        raise _config_error(error, where) from None  # the cause could print a key


def _config_error(error: ValidationError, where: str) -> ConfigError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    key = "".join(f".{part}" for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{where}{key}: unknown key; known: {', '.join(OrgLimits.model_fields)}")
    return ConfigError(f"{where}{key}: {first['msg'].removeprefix('Value error, ')}")


def read_secret(
    value: object,
    environ: Mapping[str, str],
    folder: Path,
    where: str,
    *,
    literal_allowed: bool,
    stand_in: str | None = None,
) -> SecretStr:
    """Return the secret that `env:NAME` or `file:PATH` stands for; ConfigError begins with `where`.

    With `literal_allowed` the value may be the secret itself. `stand_in` is taken for one that is not to be had here.
    """
    if not isinstance(value, str):
        raise ConfigError(f"{where}: env:NAME or file:PATH is needed")
    kind, _, rest = value.partition(":")
    if kind == "env":
        secret = environ.get(rest) or stand_in or ""
        if not secret:
            raise ConfigError(f"{where}: the environment variable {rest} is not set")
    elif kind == "file":
        secret = _read_key_file(folder / Path(rest).expanduser(), where, stand_in)
    elif literal_allowed:
        secret = value
    else:
        raise ConfigError(
            f"{where}: env:NAME or file:PATH is needed; a literal key is accepted only for a loopback base_url"
        )
    if secret and not KEY_PATTERN.fullmatch(secret):
        raise ConfigError(f"{where}: the key holds a space or a character that a header cannot carry")
    return SecretStr(secret)


def _read_key_file(path: Path, where: str, stand_in: str | None) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(KEY_BYTES_MAX + 1)
    except OSError as error:
        if stand_in is not None:
            return stand_in
        raise ConfigError(f"{where}: cannot read {path}: {os.strerror(error.errno or 0)}") from error
    secret = content.decode("utf-8", errors="replace").strip()
    if not secret or len(content) > KEY_BYTES_MAX:
        raise ConfigError(f"{where}: {path} must hold the key alone, 1 to {KEY_BYTES_MAX} bytes")
    return secret


def _base_url(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{where}: a URL is needed, e.g. {OPENAI_BASE_URL}")
    parts = _split(value)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"{where}: a URL with http or https and a host is needed, e.g. {OPENAI_BASE_URL}")
    if parts.username or parts.password or parts.fragment:
        raise ConfigError(f"{where}: a URL without user, password or fragment is needed; keys belong in api_key")
    return value.rstrip("/")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number from 0 to 65535
    except ValueError:
        return None
    return None if any(character.isspace() for character in url) else parts


def is_loopback(url: str) -> bool:
    """Return whether a URL leads to this machine."""
    parts = _split(url)
    host = parts.hostname if parts else None
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
