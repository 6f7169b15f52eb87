"""The catalog as one JSON document: dollars as decimal strings, rates per minute, every figure with source and date."""

from collections.abc import Iterable, Mapping
from datetime import date

from imagequeue.config.catalog import Catalog, CatalogRow, Tier
from imagequeue.config.catalog.records import ImagePrices, Sourced, TokenPrices, TokenRates
from imagequeue.config.money import format_usd


def document(known: Catalog, rows: Iterable[CatalogRow], today: date) -> dict[str, object]:
    """Return the catalog as printed by `--json`: dollars are decimal strings, rates are per minute."""
    return {
        "version": known.version,
        "date": today,
        "models": [_model_document(row) for row in rows],
        "tiers": [{"tier": name, **_tier_document(tier)} for name, tier in known.tiers.items()],
        "sources": {key: source.model_dump(mode="json") for key, source in known.sources.items()},
        "disagreements": known.disagreements,
    }


def _model_document(row: CatalogRow) -> dict[str, object]:
    model = row.model
    return {
        "model": model.name,
        "limit_group": model.limit_group,
        "state": row.lifecycle.state,
        "lifecycle": model.lifecycle.model_dump(mode="json"),
        "accepts": model.accepts.model_dump(mode="json"),
        "priced_by": model.priced_by,
        "image_prices": [_image_prices(prices) for prices in model.image_prices],
        "token_prices": [_token_prices(prices) for prices in model.token_prices],
        "output_tokens": model.output_tokens.model_dump(mode="json"),
        "input_tokens": model.input_tokens.model_dump(mode="json"),
        "batch_percent": model.batch_percent,
        "batch_note": model.batch_note,
        "limits": model.limits.model_dump(mode="json"),
    }


def _image_prices(prices: ImagePrices) -> dict[str, object]:
    usd = {
        quality: {size: format_usd(nano) for size, nano in sizes.items()} for quality, sizes in prices.nano_usd.items()
    }
    return {"from": prices.from_day, "usd": usd, **_origin(prices)}


def _token_prices(prices: TokenPrices) -> dict[str, object]:
    return {"from": prices.from_day, "usd_per_1m_tokens": _rates(prices.rates), **_origin(prices)}


def _tier_document(tier: Tier) -> dict[str, object]:
    limit = tier.monthly_limit_nano_usd
    return {
        "label": tier.label,
        "qualification": tier.qualification,
        "monthly_limit_usd": None if limit is None else format_usd(limit),
        "like": tier.like,
        **_origin(tier),
    }


def _origin(record: Sourced) -> dict[str, object]:
    return {"source": record.source, "date": record.date, "note": record.note}


def _rates(rates: TokenRates) -> dict[str, str | None]:
    """Return dollars per million tokens by kind: nano-dollars per million tokens, written as dollars."""
    found: Mapping[str, int | None] = {kind: getattr(rates, kind) for kind in TokenRates.model_fields}
    return {kind: None if nano is None else format_usd(nano) for kind, nano in found.items()}
