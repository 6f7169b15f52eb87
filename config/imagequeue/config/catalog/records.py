"""The shape of the catalog: what a record of a model, a tier or a source holds, and how it is checked when read.

The same shape serves the packaged data and the user's `[catalog]` table. Amounts of money are written in dollars and
held as integer nano-dollars.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from imagequeue.config.errors import ConfigError, JobRefused
from imagequeue.config.money import parse_usd
from imagequeue.config.nearest import did_you_mean

ANY: Final = "*"
"""In a list of accepted values: every value. As a key of a price or limit table: every other quality, size or tier."""

AUTO: Final = "auto"
"""The size or quality that the provider picks; its cost is bounded by the dearest it could pick."""


def _nano(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError('an amount of dollars is needed, e.g. "0.04"')  # noqa: TRY004 - pydantic reads ValueError
    try:
        nano = parse_usd(Decimal(str(value)))
    except InvalidOperation as error:
        raise ValueError(f'an amount of dollars is needed, e.g. "0.04", not {value!r}') from error
    if nano < 0:
        raise ValueError("an amount of dollars that is not negative is needed")
    return nano


Dollars = Annotated[int, BeforeValidator(_nano)]
"""Written as dollars, held as nano-dollars."""

Rate = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
"""Per minute; 0 means that this is not served at all."""


class Record(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)


class Sourced(Record):
    """A record that says where its figures come from: ids of `Catalog.sources`, and when they were last seen."""

    source: tuple[str, ...] = ()
    date: str = ""
    note: str = ""


class Source(Record):
    """Where figures were read."""

    title: str
    url: str = ""
    copy_read: str = ""
    as_of: str
    kind: str


class Tier(Sourced):
    """A usage tier: how one gets there and how much may be spent a month (nano-dollars, None when not published).

    `like` names the tier whose limits stand in where a model publishes none under this name.
    """

    label: str
    qualification: str | None = None
    monthly_limit_nano_usd: Annotated[Dollars | None, Field(alias="monthly_limit_usd")] = None
    like: str | None = None


class LifecycleDates(Sourced):
    """When a model came, when its end was announced, when it ends, and what follows it."""

    released: str = ""
    notice: date | None = None
    ends: date | None = None
    successor: str | None = None


class SizeRule(Record):
    """Which free sizes WIDTHxHEIGHT a model takes, in pixels; `ratio_max` is the long edge over the short one."""

    multiple: Annotated[int, Field(ge=1)]
    edge_max: Annotated[int, Field(ge=1)]
    ratio_max: Annotated[int, Field(ge=1)]
    pixels_min: Annotated[int, Field(ge=1)]
    pixels_max: Annotated[int, Field(ge=1)]

    def allows(self, width: int, height: int) -> bool:
        """Return whether the size keeps to the rule."""
        long, short = max(width, height), min(width, height)
        return (
            width % self.multiple == 0
            and height % self.multiple == 0
            and short > 0
            and long <= self.edge_max
            and long <= self.ratio_max * short
            and self.pixels_min <= width * height <= self.pixels_max
        )

    def describe(self) -> str:
        """Return the rule in words."""
        return (
            f"or WIDTHxHEIGHT in multiples of {self.multiple}, edges up to {self.edge_max}, at most "
            f"{self.ratio_max}:1, {self.pixels_min} to {self.pixels_max} pixels"
        )


class Accepts(Sourced):
    """What a model's API takes. An empty list means that the parameter may not be given; `*` in a list, any value.

    `size_aliases` maps other names of a size to the API's own. `quality_equivalents` and `size_equivalents` are used
    only when a job made for another model overflows to this one. `image_*` are about input images, each of them.
    `partial_images_max` is how many sketches can be had while an image is made. `response_format` says whether the
    request may carry that parameter; `responses` lists how images can come back.
    """

    operations: tuple[Literal["generation", "edit", "variation"], ...] = ("generation",)
    sizes: tuple[str, ...] = (ANY,)
    standard_size: str = "1024x1024"
    free_size: SizeRule | None = None
    size_aliases: Mapping[str, str] = {}
    size_equivalents: Mapping[str, str] = {}
    qualities: tuple[str, ...] = ()
    standard_quality: str | None = None
    quality_equivalents: Mapping[str, str] = {}
    styles: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()
    output_formats: tuple[str, ...] = ()
    standard_output_format: str = "png"
    n_max: Annotated[int, Field(ge=1, le=10)] = 1
    prompt_characters_max: Annotated[int, Field(ge=1, le=32_000)] = 32_000
    images_max: Annotated[int, Field(ge=0, le=16)] = 0
    image_formats: tuple[Literal["png", "jpeg", "webp"], ...] = ("png", "jpeg", "webp")
    image_bytes_max: Annotated[int, Field(ge=1, le=64 * 1024 * 1024)] = 50_000_000
    image_square: bool = False
    mask: bool = False
    partial_images_max: Annotated[int, Field(ge=0, le=3)] = 0
    responses: tuple[Literal["url", "b64_json"], ...] = ("url", "b64_json")
    response_format: bool = True

    @model_validator(mode="after")
    def _standard_is_accepted(self) -> Self:
        if ANY not in self.sizes and self.standard_size not in self.sizes:
            raise ValueError(f"standard_size must be one of sizes: {', '.join(self.sizes)}")
        if self.standard_quality is not None and not {ANY, self.standard_quality} & set(self.qualities):
            raise ValueError(f"standard_quality must be one of qualities: {', '.join(self.qualities)}")
        return self


class ImagePrices(Sourced):
    """Price of one image by quality and size, from a day on."""

    from_day: Annotated[date, Field(alias="from")] = date.min
    nano_usd: Annotated[Mapping[str, Mapping[str, Dollars]], Field(alias="usd")]


class TokenRates(Record):
    """Nano-dollars per million tokens of each kind; written in dollars per million tokens."""

    text_input: Dollars
    text_input_cached: Dollars | None = None
    image_input: Dollars | None = None
    image_input_cached: Dollars | None = None
    image_output: Dollars
    text_output: Dollars | None = None


class TokenPrices(Sourced):
    """Prices of tokens, from a day on."""

    from_day: Annotated[date, Field(alias="from")] = date.min
    rates: Annotated[TokenRates, Field(alias="usd_per_1m_tokens")]


class OutputTokens(Sourced):
    """How many tokens one image costs: a published table by quality and size, or the formula's grid by quality.

    `per_partial_image` is what each sketch adds (the API's image guide says 100).
    """

    table: Mapping[str, Mapping[str, Annotated[int, Field(ge=0)]]] = {}
    long_grid: Mapping[str, Annotated[int, Field(ge=1, le=4096)]] = {}
    per_partial_image: Annotated[int, Field(ge=0)] = 100


class InputTokens(Sourced):
    """Upper bounds for what cannot be known before a call: tokens per input image, and text tokens in the answer."""

    per_image_max: Annotated[int, Field(ge=0)] = 0
    text_output_max: Annotated[int, Field(ge=0)] = 0


class TierLimit(Sourced):
    """Ceilings of one tier, per minute. None: this is not limited. 0: not served."""

    images_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None


class Report(TierLimit):
    """A ceiling that users report, where it differs from the published one. Never used for pacing by itself."""

    tier: str


class LimitTable(Sourced):
    """Published ceilings by tier (`*` for every other tier), and what users report instead."""

    tiers: Mapping[str, TierLimit] = {}
    reports: tuple[Report, ...] = ()


class Model(Record):
    """Everything known about one model. Exactly one kind of price: per image or per token."""

    name: str
    limit_group: str
    lifecycle: LifecycleDates = LifecycleDates()
    accepts: Accepts = Accepts()
    image_prices: tuple[ImagePrices, ...] = ()
    token_prices: tuple[TokenPrices, ...] = ()
    output_tokens: OutputTokens = OutputTokens()
    input_tokens: InputTokens = InputTokens()
    batch_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    batch_note: str = ""
    limits: LimitTable = LimitTable()

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if bool(self.image_prices) == bool(self.token_prices):
            raise ValueError(
                "either image_prices or token_prices is needed; for a free server "
                'image_prices = [{usd = {"*" = {"*" = 0}}}]'
            )
        return self

    @property
    def priced_by(self) -> Literal["image", "token"]:
        """What is charged."""
        return "image" if self.image_prices else "token"

    def api_size(self, size: str | None) -> str:
        """Return the size as the API names it; the standard one for None."""
        chosen = size or self.accepts.standard_size
        return self.accepts.size_aliases.get(chosen, chosen)

    def api_quality(self, quality: str | None) -> str | None:
        """Return the quality to ask for: the standard one for None; None where the model has no such parameter."""
        return quality or self.accepts.standard_quality


class Catalog(Record):
    """Models, tiers, prices and limits as data. `version` changes with any figure, packaged or the user's."""

    version: str
    models: Mapping[str, Model]
    tiers: Mapping[str, Tier]
    sources: Mapping[str, Source]
    disagreements: tuple[str, ...]

    def model(self, name: str) -> Model:
        """Return the model of that name; JobRefused for field `model` when there is none."""
        found = self.models.get(name)
        if found is None:
            hint = did_you_mean(name, self.models)
            raise JobRefused("model", f"unknown model {name!r}{hint}; known: {', '.join(self.models)}")
        return found

    def tier(self, name: str) -> Tier:
        """Return the tier of that name, in any case; ConfigError when there is none."""
        found = self.tiers.get(name.lower())
        if found is None:
            raise ConfigError(f"tier: unknown tier {name!r}; accepted: {', '.join(self.tiers)}")
        return found


def record_keys() -> list[str]:
    """Return every key that a record of the catalog can have, as written in TOML; for suggestions."""
    records = (*Record.__subclasses__(), *Sourced.__subclasses__())
    keys = [field.alias or name for record in records for name, field in record.model_fields.items()]
    return list(dict.fromkeys(["like", *keys]))
