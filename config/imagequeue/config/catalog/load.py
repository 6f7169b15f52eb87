"""Reads the packaged catalog and lays the user's own figures over it."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final, TypeAlias

from pydantic import ValidationError

from imagequeue.config.catalog.grid import cell
from imagequeue.config.catalog.records import ANY, AUTO, Catalog, Model, record_keys
from imagequeue.config.errors import ConfigError
from imagequeue.config.nearest import did_you_mean

DATA_FILES: Final = ("models.toml", "tiers.toml", "sources.toml", "disagreements.toml")
LIKE_DEPTH_MAX: Final = 8
VERSION_CHARACTERS: Final = 12
OVERRIDABLE: Final = ("models", "tiers", "sources")

Table: TypeAlias = Mapping[str, object]


def load_catalog(overrides: Table | None = None) -> Catalog:
    """Return the packaged catalog with `overrides` (the `[catalog]` table) laid over it.

    A table is merged key by key, anything else replaces what was there. ConfigError names the key that is wrong.
    """
    tables = _packaged()
    if overrides:
        tables = _overlay(tables, overrides)
    version = hashlib.sha256(json.dumps(tables, sort_keys=True, default=str).encode()).hexdigest()
    try:
        catalog = Catalog.model_validate({**tables, "version": version[:VERSION_CHARACTERS]})
    except ValidationError as error:
        raise _config_error(error) from None  # the cause would print the user's whole table
    for model in catalog.models.values():
        _check_covered(model)
    _check_tiers(catalog)
    return catalog


@lru_cache(maxsize=1)
def _packaged() -> dict[str, object]:
    tables: dict[str, object] = {}
    for name in DATA_FILES:
        tables |= tomllib.loads((files(__package__) / "data" / name).read_text(encoding="utf-8"))
    tables["models"] = _resolved(_table("models", tables["models"]), {})
    return tables


def _overlay(tables: dict[str, object], overrides: Table) -> dict[str, object]:
    for key in overrides:
        if key not in OVERRIDABLE:
            raise ConfigError(f"catalog.{key}: unknown key{did_you_mean(key, OVERRIDABLE)}; {_known(OVERRIDABLE)}")
    base = _table("models", tables["models"])
    models = _resolved(_table("models", overrides.get("models", {})), base)
    rest = {key: _merge(tables[key], value) for key, value in overrides.items() if key != "models"}
    return {**tables, **rest, "models": {**base, **models}}


def _resolved(records: Table, base: Table) -> dict[str, object]:
    """Return the records with names filled in and every `like` followed, in `records` first and then in `base`."""
    return {name: _resolve(name, records, base, LIKE_DEPTH_MAX) for name in records}


def _resolve(name: str, records: Table, base: Table, depth: int) -> object:
    if depth == 0:
        raise ConfigError(f"catalog.models.{name}.like: at most {LIKE_DEPTH_MAX} steps, and never back to itself")
    own = dict(_table(f"models.{name}", records.get(name, {})))
    template = own.pop("like", None)
    below: object = base.get(name, {})
    if template is not None:
        below = _template(name, template, records, base, depth)
    return _merge(_merge({"limit_group": name}, below), {**own, "name": name})


def _template(name: str, template: object, records: Table, base: Table, depth: int) -> object:
    known = [*base, *records]
    if not isinstance(template, str) or template not in known:
        raise ConfigError(
            f"catalog.models.{name}.like: unknown model{did_you_mean(str(template), known)}; {_known(known)}"
        )
    found = _resolve(template, records, base, depth - 1) if template in records else base[template]
    return {key: value for key, value in _table(template, found).items() if key != "lifecycle"}


def _merge(below: object, above: object) -> object:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: _merge(below.get(key), value) for key, value in above.items()}}


def _table(key: str, value: object) -> Table:
    if not isinstance(value, Mapping):
        raise ConfigError(f"catalog.{key}: a table is needed")
    return value


def _known(names: tuple[str, ...] | list[str]) -> str:
    return f"known: {', '.join(dict.fromkeys(names))}"


def _config_error(error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return ConfigError(f"catalog.{key}: unknown key{did_you_mean(str(first['loc'][-1]), record_keys())}")
    return ConfigError(f"catalog.{key}: {first['msg'].removeprefix('Value error, ')}")


def _check_covered(model: Model) -> None:
    """Refuse a model that accepts what its prices or token figures do not cover."""
    sizes = [model.api_size(size) for size in (*model.accepts.sizes, model.accepts.standard_size) if size != AUTO]
    qualities = [quality for quality in model.accepts.qualities if quality != AUTO] or [ANY]
    if model.accepts.free_size is not None:
        sizes.append(ANY)
    for quality in qualities:
        for size in sizes:
            _check_cell(model, quality, size)


def _check_cell(model: Model, quality: str, size: str) -> None:
    where = f"catalog.models.{model.name}"
    for prices in model.image_prices:
        if cell(prices.nano_usd, quality, size) is None:
            raise ConfigError(f'{where}.image_prices: no price for quality "{quality}", size "{size}" ("*" is any)')
    tokens = model.output_tokens
    in_grid = quality in tokens.long_grid
    if model.token_prices and not in_grid and cell(tokens.table, quality, size) is None:
        raise ConfigError(f'{where}.output_tokens: no figure for quality "{quality}", size "{size}" ("*" is any)')


def _check_tiers(catalog: Catalog) -> None:
    known = [*catalog.tiers, ANY]
    for model in catalog.models.values():
        for tier in model.limits.tiers:
            if tier not in known:
                raise ConfigError(f"catalog.models.{model.name}.limits.tiers.{tier}: unknown tier; {_known(known)}")
    for name, record in catalog.tiers.items():
        if record.like is not None and record.like not in catalog.tiers:
            raise ConfigError(f"catalog.tiers.{name}.like: unknown tier; {_known(list(catalog.tiers))}")
