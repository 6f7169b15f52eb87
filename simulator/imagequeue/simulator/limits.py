"""Which ceilings hold for an organization and model, and the gates that enforce them."""

import time
from dataclasses import dataclass

from imagequeue.config.catalog import Catalog, Model
from imagequeue.config.catalog.records import ANY
from imagequeue.simulator.bucket import Bucket, Gate
from imagequeue.simulator.config import GroupLimits, SimulatedOrg


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What is published and what is enforced; `served` is false where the tier does not have the model at all."""

    published: GroupLimits
    enforced: GroupLimits
    served: bool


def ceilings(org: SimulatedOrg, model: Model, catalog: Catalog) -> Ceilings:
    """Return the ceilings: the organization's own by model, else by limit group, else its tier's published ones."""
    own = _by_name(org.limits, model)
    tier = GroupLimits() if own is not None else _of_tier(org.tier, model, catalog)
    published = own or tier or GroupLimits()
    return Ceilings(
        published=published, enforced=_by_name(org.true_limits, model) or published, served=tier is not None
    )


def _by_name(limits: dict[str, GroupLimits], model: Model) -> GroupLimits | None:
    return limits.get(model.name) or limits.get(model.limit_group)


def _of_tier(tier: str, model: Model, catalog: Catalog) -> GroupLimits | None:
    """Return the tier's published ceilings, empty where there are none; None when the tier lacks the model."""
    for name in (tier.lower(), catalog.tier(tier).like, ANY):
        found = None if name is None else model.limits.tiers.get(name)
        if found is not None and 0 in (found.images_per_minute, found.tokens_per_minute):
            return None
        if found is not None:
            return GroupLimits(images_per_minute=found.images_per_minute, tokens_per_minute=found.tokens_per_minute)
    return GroupLimits()


class Gates:
    """One gate per organization, limit group and enforced ceilings, made when first used."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._gates: dict[tuple[str, str, GroupLimits], Gate] = {}
        self._ceilings: dict[tuple[str, str], Ceilings] = {}

    def ceilings(self, org: SimulatedOrg, model: Model) -> Ceilings:
        """Return the ceilings that hold for this organization and model."""
        key = (org.name, model.name)
        if key not in self._ceilings:
            self._ceilings[key] = ceilings(org, model, self._catalog)
        return self._ceilings[key]

    def gate(self, org: SimulatedOrg, model: Model) -> Gate:
        """Return the gate of the model's limit group."""
        enforced = self.ceilings(org, model).enforced
        key = (org.name, model.limit_group, enforced)
        if key not in self._gates:
            self._gates[key] = _gate(org, enforced)
        return self._gates[key]


def _gate(org: SimulatedOrg, limits: GroupLimits) -> Gate:
    now = time.monotonic()

    def bucket(limit: float | None) -> Bucket | None:
        if limit is None:
            return None
        return Bucket(limit_per_minute=limit, depth_seconds=org.bucket_seconds, now=now)

    return Gate(
        images=bucket(limits.images_per_minute),
        tokens=bucket(limits.tokens_per_minute),
        refused_calls_count=org.refused_calls_count,
    )
