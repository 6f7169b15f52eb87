"""Reads the facts that advice is made of: recorded hours, the ledger's last 30 days, the catalog."""

import calendar
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from imagequeue.config.catalog import Catalog, Model, lifecycle, limits_of_tier, price_call
from imagequeue.config.orgs import Org
from imagequeue.config.settings import Settings
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.summary import Figures, Summary
from imagequeue.producer.advice.facts import (
    Facts,
    ModelFacts,
    NextTier,
    PoolFacts,
    PriceFacts,
    RegenerationFacts,
    SpendFacts,
)
from imagequeue.queue.ceilings import Pool, pools_of
from imagequeue.queue.hours import HOUR_SECONDS, UsedHour, read_hours
from imagequeue.queue.image_sources import read_sources
from imagequeue.queue.reported import read_reported
from imagequeue.queue.scripts import Scripts

DAYS: Final = 30
PRICE_DAYS_AHEAD: Final = 60
ADVICE_DAYS_AHEAD: Final = 90
"""A model's end so far ahead is worth knowing."""
PROMPT_CHARACTERS: Final = 200
"""Of a usual prompt, for models that charge by the token."""


async def gather_facts(settings: Settings, catalog: Catalog, scripts: Scripts, ledger: Ledger, now: datetime) -> Facts:
    """Return the facts of this moment; Unavailable when Redis or the ledger does not answer."""
    reported = await read_reported(scripts)
    pools = pools_of(catalog, settings.orgs, reported.gone, reported.limits)
    hours = await read_hours(scripts, [pool.name for pool in pools])
    month = await ledger.summary(("org",), now.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    lately = await ledger.summary(("model",), now - timedelta(days=DAYS))
    images = {str(group.key["model"]): group.figures for group in lately.groups}
    today = now.date()
    used = [name for name in dict.fromkeys([*settings.models, *images]) if name in catalog.models]
    return Facts(
        today=int(now.timestamp()) // (24 * HOUR_SECONDS),
        pools=tuple(_pool(pool, pools, catalog, hours.get(pool.name, ())) for pool in pools),
        spends=tuple(_spends(settings, catalog, month, now)),
        models=tuple(_models([catalog.models[name] for name in used], catalog, images, today)),
        prices=tuple(price for name in used for price in _prices(catalog.models[name], images, today)),
        regenerations=tuple(_regenerations(images)),
        hit_ratio=(await read_sources(scripts, now)).status().hit_rate,
        cache=settings.cache,
    )


def _pool(pool: Pool, pools: tuple[Pool, ...], catalog: Catalog, hours: tuple[UsedHour, ...]) -> PoolFacts:
    others = [name for other in pools if other.org.name == pool.org.name and other is not pool for name in other.models]
    return PoolFacts(
        name=pool.name,
        org=pool.org.name,
        hours=hours,
        images_per_minute=pool.limits.images_per_minute,
        tokens_per_minute=pool.limits.tokens_per_minute,
        next_tier=next_tier(catalog, pool.org, pool.models[0]),
        others=tuple(others),
        batchable=any(catalog.models[name].batch_percent is not None for name in pool.models),
    )


def next_tier(catalog: Catalog, org: Org, model: str) -> NextTier | None:
    """Return the tier above an organization's own in the catalog's order, None for the highest and other servers."""
    names = list(catalog.tiers)
    place = names.index(org.tier.lower()) if org.is_openai and org.tier.lower() in names else len(names)
    above = next((name for name in names[place + 1 :] if _higher(catalog, org.tier, name)), None)
    if above is None:
        return None
    tier, limits = catalog.tier(above), limits_of_tier(catalog, model, above)
    return NextTier(
        label=tier.label,
        qualification=tier.qualification,
        images_per_minute=limits.images_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        monthly_limit_nano=tier.monthly_limit_nano_usd,
    )


def _higher(catalog: Catalog, own: str, other: str) -> bool:
    """Whether two tiers are of one set of names: of the numbered ones, or of the named ones."""
    return own.isdecimal() == other.isdecimal() or (own.lower() == "free" and catalog.tier(other).like is None)


def _spends(settings: Settings, catalog: Catalog, month: Summary, now: datetime) -> Iterator[SpendFacts]:
    used = {group.key["org"]: group.figures for group in month.groups}
    days = calendar.monthrange(now.year, now.month)[1]
    elapsed = (now.day - 1 + (now.hour * 60 + now.minute) / (24 * 60)) / days
    for org in settings.orgs:
        figures = used.get(org.name, Figures())
        spent = figures.settled_nano + figures.held_nano + figures.in_doubt_nano
        limits: list[tuple[str, int | None]] = [("monthly_cap_usd", org.monthly_cap_nano_usd)]
        if org.is_openai and org.tier.lower() in catalog.tiers:
            tier = catalog.tier(org.tier)
            limits.append((f"monthly limit of {tier.label}", tier.monthly_limit_nano_usd))
        for name, limit_nano in limits:
            if limit_nano:
                yield SpendFacts(org=org.name, limit=name, limit_nano=limit_nano, used_nano=spent, elapsed=elapsed)


def _models(models: list[Model], catalog: Catalog, images: Mapping[str, Figures], today: date) -> Iterator[ModelFacts]:
    for model in models:
        state = lifecycle(model, today)
        if state.ends is None or state.ends > today + timedelta(days=ADVICE_DAYS_AHEAD):
            continue
        made = images[model.name].images if model.name in images else 0
        successor = catalog.models.get(state.successor or "")
        yield ModelFacts(
            name=model.name,
            ends=state.ends,
            days_left=state.days_left or 0,
            retired=state.state == "retired",
            images=made,
            price_nano=standard_price(model, today),
            successor=state.successor,
            successor_price_nano=None if successor is None else standard_price(successor, today),
        )


def _prices(model: Model, images: Mapping[str, Figures], today: date) -> Iterator[PriceFacts]:
    days = [one.from_day for one in model.image_prices] + [one.from_day for one in model.token_prices]
    for day in sorted(days):
        if day == min(days) or not today - timedelta(days=DAYS) <= day <= today + timedelta(days=PRICE_DAYS_AHEAD):
            continue
        yield PriceFacts(
            model=model.name,
            since=day,
            before_nano=standard_price(model, day - timedelta(days=1)),
            after_nano=standard_price(model, day),
            images=images[model.name].images if model.name in images else 0,
        )


def _regenerations(images: Mapping[str, Figures]) -> Iterator[RegenerationFacts]:
    for model, figures in images.items():
        if figures.intents:
            yield RegenerationFacts(
                model=model, answers=figures.answers, intents=figures.intents, settled_nano=figures.settled_nano
            )


def standard_price(model: Model, on: date) -> int:
    """Return what a standard image of a model costs on a day."""
    return price_call(
        model,
        size=None,
        quality=None,
        n=1,
        usage=None,
        delivery="now",
        on=on,
        prompt_characters=PROMPT_CHARACTERS,
        input_images=0,
    )
