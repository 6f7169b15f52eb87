"""Which ceilings hold for an organization and a model, and whether it serves the model at all. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from imagequeue.config.catalog.lifecycle import lifecycle
from imagequeue.config.catalog.records import ANY, Catalog, Model, TierLimit
from imagequeue.config.orgs import Org


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Ceilings per minute of one organization for one model. None: not limited. 0: not served. `source` says whence."""

    images_per_minute: float | None
    tokens_per_minute: float | None
    source: str

    @property
    def served(self) -> bool:
        """Whether any call may be made."""
        return self.images_per_minute != 0 and self.tokens_per_minute != 0


def limits_of(catalog: Catalog, org: Org, model: str) -> Limits:
    """Return the ceilings of an organization for a model.

    The organization's own `limits` (under the model's name, else its limit group's) win, figure by figure; then the
    tier table. The tiers are OpenAI's, so an organization of another kind is without ceiling unless its tier or
    limits are given. JobRefused for an unknown model, ConfigError for an unknown tier.
    """
    record = catalog.model(model)
    published, source = _published(catalog, org, record)
    own = org.limits.get(model) or org.limits.get(record.limit_group)
    if own is None:
        return Limits(
            images_per_minute=published.images_per_minute, tokens_per_minute=published.tokens_per_minute, source=source
        )
    images_given = "images_per_minute" in own.model_fields_set
    tokens_given = "tokens_per_minute" in own.model_fields_set
    return Limits(
        images_per_minute=own.images_per_minute if images_given else published.images_per_minute,
        tokens_per_minute=own.tokens_per_minute if tokens_given else published.tokens_per_minute,
        source=f"limits of organization {org.name}" + ("" if images_given and tokens_given else f"; else {source}"),
    )


def limits_of_tier(catalog: Catalog, model: str, tier: str) -> Limits:
    """Return the published ceilings of a tier for a model; JobRefused and ConfigError as in `limits_of`."""
    published, source = _of_tier(catalog, catalog.model(model), tier)
    return Limits(
        images_per_minute=published.images_per_minute, tokens_per_minute=published.tokens_per_minute, source=source
    )


def serves(catalog: Catalog, org: Org, model: str, today: date) -> bool:
    """Return whether an organization can be expected to serve a model today.

    Not if its ceiling is 0; nor if the model has ended and the organization is OpenAI itself. Other servers may go
    on serving an ended model: there the server's own answer decides.
    """
    record = catalog.models.get(model)
    if record is None or not limits_of(catalog, org, model).served:
        return False
    return not (org.is_openai and lifecycle(record, today).state == "retired")


def served_by(catalog: Catalog, orgs: Sequence[Org], today: date) -> Callable[[str], bool]:
    """Return the question `does any of these organizations serve this model today?`, for choose_model."""
    return lambda model: any(serves(catalog, org, model, today) for org in orgs)


def _published(catalog: Catalog, org: Org, model: Model) -> tuple[TierLimit, str]:
    if org.kind != "openai" and "tier" not in org.model_fields_set:
        found = model.limits.tiers.get(ANY)
        return (found, _said(model, found)) if found else (TierLimit(), f"no ceiling is known for kind {org.kind}")
    return _of_tier(catalog, model, org.tier)


def _of_tier(catalog: Catalog, model: Model, tier_name: str) -> tuple[TierLimit, str]:
    tier = catalog.tier(tier_name)
    name = tier_name.lower()
    for key in (name, tier.like, ANY):
        found = model.limits.tiers.get(key) if key is not None else None
        if found is not None:
            standing_in = (
                "" if key in {name, ANY} else f"no figure for {tier.label}, that of {catalog.tier(key or '').label}: "
            )
            return found, standing_in + _said(model, found)
    return TierLimit(), "no figure is published"


def _said(model: Model, limit: TierLimit) -> str:
    sources = limit.source or model.limits.source
    said = ", ".join(sources) or "your catalog"
    dated = limit.date or model.limits.date
    note = limit.note or model.limits.note
    return said + (f" ({dated})" if dated else "") + (f"; {note}" if note else "")
