"""What advice is made of: values about pools, caps, models and images of the last weeks. Money in nano-dollars."""

from dataclasses import dataclass
from datetime import date

from imagequeue.queue.hours import UsedHour


@dataclass(frozen=True, kw_only=True)
class NextTier:
    """The next higher usage tier: how one gets there and what it allows a minute, None for no such ceiling."""

    label: str
    qualification: str | None
    images_per_minute: float | None
    tokens_per_minute: float | None
    monthly_limit_nano: int | None


@dataclass(frozen=True, kw_only=True)
class PoolFacts:
    """One organization's limit group. `others`: models that the organization serves under other ceilings.

    `hours` are those that are over, oldest first; `batchable` says whether the provider takes its models in batches.
    """

    name: str
    org: str
    hours: tuple[UsedHour, ...]
    images_per_minute: float | None = None
    tokens_per_minute: float | None = None
    next_tier: NextTier | None = None
    others: tuple[str, ...] = ()
    batchable: bool = False


@dataclass(frozen=True, kw_only=True)
class SpendFacts:
    """What an organization spends in this calendar month against a limit; `elapsed` is the share of the month gone."""

    org: str
    limit: str
    limit_nano: int
    used_nano: int
    elapsed: float


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A model that is used or preferred and has an end. Prices are of its standard image and its successor's."""

    name: str
    ends: date
    days_left: int
    retired: bool
    images: int
    price_nano: int
    successor: str | None = None
    successor_price_nano: int | None = None


@dataclass(frozen=True, kw_only=True)
class PriceFacts:
    """A price that changed lately or will: of a model's standard image. `images`: made in the last 30 days."""

    model: str
    since: date
    before_nano: int
    after_nano: int
    images: int


@dataclass(frozen=True, kw_only=True)
class RegenerationFacts:
    """Images made for intents in the last 30 days: how many answers for how many intents, and what all cost."""

    model: str
    answers: int
    intents: int
    settled_nano: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything. `today` is the UTC day as days since 1970; `hit_ratio` is the cache's of the last day."""

    today: int
    pools: tuple[PoolFacts, ...] = ()
    spends: tuple[SpendFacts, ...] = ()
    models: tuple[ModelFacts, ...] = ()
    prices: tuple[PriceFacts, ...] = ()
    regenerations: tuple[RegenerationFacts, ...] = ()
    hit_ratio: float | None = None
    cache: str = "off"
