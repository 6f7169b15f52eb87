"""Which pools there are: each organization's limit groups, the models they serve, the ceiling these share. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imagequeue.config.catalog import Catalog, Limits, limits_of
from imagequeue.config.orgs import Org
from imagequeue.queue.pools import pool_name

MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """What lowers a pool's ceilings: limits that answers name, and a share learned from refusals."""

    images_per_minute: float | None = None
    tokens_per_minute: float | None = None
    said_by: str = ""
    share: float = 1.0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One organization's limit group: the models it serves and their shared ceiling.

    `limits` are the ceilings to work with. `lowered` says why they are below the known ones; empty when they are not.
    """

    name: str
    org: Org
    models: tuple[str, ...]
    limits: Limits
    lowered: str = ""


def pools_of(
    catalog: Catalog,
    orgs: Sequence[Org],
    gone: Collection[tuple[str, str]] = (),
    reported: Mapping[str, Limits] | None = None,
    lowered: Mapping[str, Lowered] | None = None,
) -> tuple[Pool, ...]:
    """Return the pools of the organizations, without what they said they do not serve: `gone` holds (org, model).

    A pool's ceilings are the configured ones, else those `reported` by the provider (by pool name), else the tier's;
    what `lowered` them holds on top of all, and never raises one.
    """
    pools = (pool for org in orgs for pool in _org_pools(catalog, org, gone, reported or {}))
    below = lowered or {}
    return tuple(_lower(pool, below[pool.name]) if pool.name in below else pool for pool in pools)


def unit_us(per_minute: float | None, fraction: float) -> float:
    """Return the microseconds that one unit takes at a fraction of a ceiling; 0 where there is none."""
    return 0.0 if per_minute is None else MINUTE_US / (per_minute * fraction)


def _lower(pool: Pool, by: Lowered) -> Pool:
    known = pool.limits
    images = _times(_least((known.images_per_minute, by.images_per_minute)), by.share)
    tokens = _times(_least((known.tokens_per_minute, by.tokens_per_minute)), by.share)
    if (images, tokens) == (known.images_per_minute, known.tokens_per_minute):
        return pool
    why = "; ".join(_why(known, by))
    limits = Limits(images_per_minute=images, tokens_per_minute=tokens, source=f"{known.source}; lowered: {why}")
    return replace(pool, limits=limits, lowered=why)


def _why(known: Limits, by: Lowered) -> Iterable[str]:
    for unit, above, below in (
        ("images", known.images_per_minute, by.images_per_minute),
        ("tokens", known.tokens_per_minute, by.tokens_per_minute),
    ):
        if below is not None and (above is None or below < above):
            yield f"{by.said_by} {below:,.10g} {unit} a minute" + ("" if above is None else f", not {above:,.10g}")
    if by.share < 1:
        yield f"to {by.share:.0%} after refusals at pace ({by.reason}), comes back slowly"


def _times(rate: float | None, share: float) -> float | None:
    return None if rate is None else rate * share


def _org_pools(
    catalog: Catalog, org: Org, gone: Collection[tuple[str, str]], reported: Mapping[str, Limits]
) -> Iterable[Pool]:
    groups: dict[str, dict[str, Limits]] = {}
    for name, model in catalog.models.items():
        limits = limits_of(catalog, org, name)
        if limits.served and (org.name, name) not in gone:
            groups.setdefault(model.limit_group, {})[name] = limits
    for group, members in groups.items():
        name = pool_name(org.name, group)
        limits = _shared(org, group, members, reported.get(name))
        yield Pool(name=name, org=org, models=tuple(members), limits=limits)


def _shared(org: Org, group: str, members: Mapping[str, Limits], reported: Limits | None) -> Limits:
    """The ceiling that a group's models share: the lowest configured, else reported, else the lowest published."""
    configured = [limits for name, limits in members.items() if name in org.limits or group in org.limits]
    if not configured and reported is not None:
        return reported
    candidates = configured or list(members.values())
    return Limits(
        images_per_minute=_least(limits.images_per_minute for limits in candidates),
        tokens_per_minute=_least(limits.tokens_per_minute for limits in candidates),
        source=candidates[0].source,
    )


def _least(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return min(known) if known else None
