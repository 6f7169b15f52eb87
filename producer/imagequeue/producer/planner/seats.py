"""What one organization may do: a tier's published ceilings, or a configured organization's own. Pure."""

from dataclasses import dataclass

from imagequeue.config.catalog import Catalog, Limits, limits_of, limits_of_tier
from imagequeue.config.orgs import Org


@dataclass(frozen=True, kw_only=True)
class Seat:
    """The ceilings of one organization for one model. `month_nano` None: no monthly limit is known."""

    tier: str
    limits: Limits
    month_nano: int | None
    month_source: str


def seat_of_tier(catalog: Catalog, model: str, tier: str) -> Seat:
    """Return what a tier allows as published; ConfigError for an unknown tier, JobRefused for an unknown model."""
    record = catalog.tier(tier)
    return Seat(
        tier=tier.lower(),
        limits=limits_of_tier(catalog, model, tier),
        month_nano=record.monthly_limit_nano_usd,
        month_source=f"{', '.join(record.source) or 'your catalog'} ({record.date})" if record.date else "your catalog",
    )


def seat_of_org(catalog: Catalog, model: str, org: Org) -> Seat:
    """Return what a configured organization may do: its own ceilings, and the lower of its cap and its tier's."""
    published = seat_of_tier(catalog, model, org.tier)
    cap = org.monthly_cap_nano_usd
    own_is_lower = cap is not None and (published.month_nano is None or cap < published.month_nano)
    return Seat(
        tier=published.tier,
        limits=limits_of(catalog, org, model),
        month_nano=cap if own_is_lower else published.month_nano,
        month_source=f"monthly_cap_usd of organization {org.name}" if own_is_lower else published.month_source,
    )


def ladder(catalog: Catalog) -> list[str]:
    """Return the tiers from the lowest on; names that stand for another tier of unknown terms are left out."""
    return [name for name, tier in catalog.tiers.items() if tier.like is None]
