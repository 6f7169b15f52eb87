"""Settings: read once from the environment over a TOML file over defaults, into one frozen value.

Every mistake is a ConfigError of one line that names the variable or key and what is accepted. No message, repr or
dump of settings holds a secret.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.sources.utils import parse_env_vars

from imagequeue.config.catalog import Catalog, load_catalog
from imagequeue.config.errors import DEBUG_VARIABLE, ConfigError
from imagequeue.config.job import CacheUse, Name
from imagequeue.config.keys import Keys
from imagequeue.config.nearest import did_you_mean
from imagequeue.config.orgs import Org, read_orgs, referenced_variables
from imagequeue.config.tenant_caps import TenantCaps
from imagequeue.config.webhooks import Webhook, read_webhooks, webhook_variables

PREFIX: Final = "IMAGEQUEUE_"
CONFIG_VARIABLE: Final = "IMAGEQUEUE_CONFIG"
CONFIG_FILE: Final = "imagequeue.toml"
OTHER_VARIABLES: Final = (CONFIG_VARIABLE, DEBUG_VARIABLE, "IMAGEQUEUE_CRASH_AT")
"""Variables of our prefix that are no settings; the last ends a worker at a named place, for tests."""
RQ_PREFIX_VARIABLE: Final = "RQ_KEY_PREFIX"
OPENAI_KEY_VARIABLE: Final = "OPENAI_API_KEY"
RESULT_TTL_SECONDS: Final = 7 * 24 * 3600
IDEMPOTENCY_TTL_SECONDS: Final = 30 * 24 * 3600
CACHE_TTL_SECONDS: Final = 30 * 24 * 3600
SHARES_MAX: Final = 0.5

CacheScope = Literal["tenant", "shared"]


def _matching(pattern: str, accepted: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: SecretStr | str) -> SecretStr | str:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not compiled.match(text):
            raise ValueError(f"{accepted} is needed")
        return value

    return AfterValidator(check)


Share = Annotated[float, Field(ge=0, le=SHARES_MAX, allow_inf_nan=False)]
Weight = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
InputHost = Annotated[
    str, StringConstraints(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]{0,252})(:\d{1,5})?$")
]


class Settings(BaseSettings):
    """All settings, checked. Build one with load_settings; docs/configure.md explains each."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    data_dir: Path
    """Absolute: the embedded server's data, the ledger and the images."""
    redis_url: (
        Annotated[
            SecretStr, _matching(r"(rediss?://[^/]|unix://.)", "redis://, rediss:// or unix://, with a host or path,")
        ]
        | None
    ) = None
    """Redis or Valkey; None is the embedded Valkey of the data directory."""
    ledger_url: Annotated[
        SecretStr, _matching(r"(sqlite|postgresql)(\+\w+)?://", "sqlite:///PATH or postgresql://HOST/DATABASE")
    ] = Field(default_factory=lambda data: SecretStr(f"sqlite:///{data['data_dir']}/ledger.sqlite3"))
    """SQLAlchemy URL of the ledger."""
    store_url: Annotated[
        str, _matching(r"(file:///|(s3|gs|az)://[^/])", "file:///PATH, s3://BUCKET, gs://BUCKET or az://CONTAINER")
    ] = Field(default_factory=lambda data: f"{data['data_dir'].as_uri()}/images")
    """Where images are kept."""
    orgs: tuple[Org, ...] = ()
    """Who pays and where calls go; empty when none is configured and OPENAI_API_KEY is not set."""
    models: Annotated[tuple[Name, ...], Field(min_length=1, max_length=32)] = ("dall-e-3", "gpt-image-2")
    """Preference of models for jobs that name none."""
    cache: CacheUse = "off"
    """Default of a job's `cache`."""
    cache_ttl_seconds: Annotated[int, Field(ge=1, le=10 * 365 * 24 * 3600)] = CACHE_TTL_SECONDS
    """How long the cache answers with a stored result."""
    cache_scope: CacheScope = "tenant"
    """Whose stored results answer a job: those of its own tenant, or of all (`shared`)."""
    public_url: Annotated[str, _matching(r"https?://[^/]", "a URL with http or https and a host")] | None = None
    """Base of image links."""
    pace_fraction: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of every ceiling that is used."""
    burst_seconds: Annotated[float, Field(ge=0, le=60)] = 0.1
    """How far a pool may run ahead of the steady rate."""
    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = 15.0
    """A worker silent for this long has lost its jobs to others."""
    call_timeout_seconds: Annotated[float, Field(ge=1, le=3600)] = 300.0
    """Total deadline of one API call."""
    api_keys_file: Path = Field(default_factory=lambda data: data["data_dir"] / "api-keys.json")
    """Hashed keys of the HTTP door."""
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """How long a worker told to end waits for its calls in flight."""
    max_in_flight: Annotated[int, Field(ge=1, le=100_000)] = 4000
    """Most calls in flight in one worker process."""
    result_ttl_seconds: Annotated[int, Field(ge=60, le=10 * 365 * 24 * 3600)] = RESULT_TTL_SECONDS
    """How long a finished job stays in Redis; the ledger keeps it for ever."""
    idempotency_ttl_seconds: Annotated[int, Field(ge=60, le=10 * 365 * 24 * 3600)] = IDEMPOTENCY_TTL_SECONDS
    """How long an idempotency key is known after its job has ended: the same body gives the same job."""
    rq_key_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")] = "rq"
    """RQ's own key prefix, from RQ_KEY_PREFIX."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log lines that are written."""
    share_default: Share = 0.05
    """Share of the pace that `default` jobs are guaranteed while `high` ones wait; 0 is strict priority."""
    share_low: Share = 0.01
    """Share of the pace that `low` jobs are guaranteed while others wait; 0 is strict priority."""
    tenant_weights: Mapping[Name, Weight] = {}
    """Shares of tenants within a priority, in proportion; 1 for those not named."""
    tenant_caps: Mapping[Name, TenantCaps] = {}
    """Spending caps by tenant."""
    input_hosts: Annotated[tuple[InputHost, ...], Field(max_length=64)] = ()
    """Hosts, as HOST or HOST:PORT, of which jobs may name input images though their addresses are not public."""
    webhooks: tuple[Webhook, ...] = ()
    """Who is told when a job ends."""
    webhook_timeout_seconds: Annotated[float, Field(ge=1, le=30)] = 20.0
    """Total deadline of one delivery to an endpoint."""
    batch_gather_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    """How long a job whose delivery is `batch` waits at most for others before its batch is sent."""
    batch_poll_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    """Pause between two looks at a batch that the provider works on."""
    prompt_check: Literal["off", "warn", "block"] = "off"
    """What doors do about prompts that are likely to need another try."""
    catalog: Mapping[str, Any] = {}
    """Your own models, prices and limits, laid over the packaged catalog by load_catalog."""

    @property
    def keys(self) -> Keys:
        """Names of all Redis keys under the prefix."""
        return Keys.under(self.rq_key_prefix)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values only as given: load_settings reads the environment and the file, once."""
        return (init_settings,)


class _EnvironSource(EnvSettingsSource):
    """The environment as a given mapping, so that nothing reads the process's own behind the caller's back."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return parse_env_vars(self._environ, self.case_sensitive, self.env_ignore_empty, self.env_parse_none_str)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            raise ConfigError(f"{_variable(field_name)}: valid JSON is needed, a list or an object") from None


def load_settings(
    environ: Mapping[str, str] | None = None, cwd: Path | None = None, *, keys_needed: bool = True
) -> Settings:
    """Return the settings of an environment (the process's own by default), relative paths taken from `cwd`.

    Only who calls the provider or signs messages needs its keys: with `keys_needed` false they may be missing.
    ConfigError names the variable or key that is wrong, unknown or missing.
    """
    environ = os.environ if environ is None else environ
    cwd = (cwd or Path.cwd()).absolute()
    file, from_file = _read_file(environ, cwd)
    from_environ = _EnvironSource(environ)()
    if environ.get(RQ_PREFIX_VARIABLE):
        from_environ["rq_key_prefix"] = environ[RQ_PREFIX_VARIABLE]
    values = {**from_file, **from_environ}
    names = {key: _variable(key) if key in from_environ else f"{key} in {file}" for key in values}
    referenced = referenced_variables(values.get("orgs")) | webhook_variables(values.get("webhooks"))
    _refuse_unknown(environ, referenced)
    _anchor(values, cwd)
    where = names.get("orgs", "orgs")
    values["orgs"] = read_orgs(
        _orgs(values, environ), environ=environ, folder=cwd, where=where, keys_needed=keys_needed
    )
    if "webhooks" in values:
        values["webhooks"] = read_webhooks(
            values["webhooks"], environ=environ, folder=cwd, where=names["webhooks"], keys_needed=keys_needed
        )
    settings = _validated(values, names)
    _check_against_catalog(settings, where)
    return settings


def _read_file(environ: Mapping[str, str], cwd: Path) -> tuple[Path, dict[str, Any]]:
    named = environ.get(CONFIG_VARIABLE)
    path = cwd / Path(named or CONFIG_FILE).expanduser()
    if named and not path.is_file():
        raise ConfigError(f"{CONFIG_VARIABLE}: there is no file {path}")
    try:
        return path, dict(TomlConfigSettingsSource(Settings, path).toml_data)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable as TOML: {error}") from error


def _refuse_unknown(environ: Mapping[str, str], referenced: set[str]) -> None:
    known = [*OTHER_VARIABLES, *(_variable(field) for field in Settings.model_fields)]
    for name in environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known and name not in referenced:
            raise ConfigError(f"{name}: unknown variable{did_you_mean(name.upper(), known)}")


def _anchor(values: dict[str, Any], cwd: Path) -> None:
    """Make paths absolute, in place; a value that is no text is left for validation to refuse."""
    values.setdefault("data_dir", ".imagequeue")
    for key in ("data_dir", "api_keys_file"):
        if isinstance(values.get(key), str):
            values[key] = Path(os.path.normpath(cwd / Path(values[key]).expanduser()))


def _orgs(values: Mapping[str, Any], environ: Mapping[str, str]) -> object:
    if "orgs" in values:
        return values["orgs"]
    main = {"name": "main", "api_key": f"env:{OPENAI_KEY_VARIABLE}", "tier": "1"}
    return [main] if environ.get(OPENAI_KEY_VARIABLE) else []


def _validated(values: dict[str, Any], names: Mapping[str, str]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _config_error(error, names) from None  # the cause could print a secret


def _config_error(error: ValidationError, names: Mapping[str, str]) -> ConfigError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    key, *rest = (str(part) for part in first["loc"])
    where = names.get(key, key) + "".join(f", {part}" for part in rest)
    if first["type"] == "extra_forbidden":
        known = TenantCaps.model_fields if rest else Settings.model_fields
        return ConfigError(
            f"{where}: unknown key{did_you_mean(rest[-1] if rest else key, known)}; known: {', '.join(known)}"
        )
    return ConfigError(f"{where}: {first['msg'].removeprefix('Value error, ')}")


def _check_against_catalog(settings: Settings, where: str) -> None:
    """Refuse a catalog table, a tier or a preferred model that cannot be used, now and not at the first call."""
    catalog = load_catalog(settings.catalog)
    for org in settings.orgs:
        if org.tier.lower() not in catalog.tiers:
            raise ConfigError(
                f"{where}: organization {org.name}: unknown tier {org.tier!r}; accepted: {', '.join(catalog.tiers)}"
            )
        _check_limits(org, catalog, where)
    for name in settings.models:
        if name not in catalog.models:
            raise ConfigError(
                f"{_variable('models')}: unknown model {name!r}{did_you_mean(name, catalog.models)}; "
                f"known: {', '.join(catalog.models)}, and those of your own [catalog.models]"
            )


def _check_limits(org: Org, catalog: Catalog, where: str) -> None:
    known = [*catalog.models, *{model.limit_group for model in catalog.models.values()}]
    for name in org.limits:
        if name not in known:
            raise ConfigError(
                f"{where}: organization {org.name}: limits: unknown model or limit group {name!r}"
                f"{did_you_mean(name, known)}; your own models belong in [catalog.models]"
            )


def _variable(field: str) -> str:
    return RQ_PREFIX_VARIABLE if field == "rq_key_prefix" else f"{PREFIX}{field.upper()}"
