"""What a call cost, and what it can cost at most. Pure, in integers; rounding is always up, once per call.

Prices per image are multiplied by n. Prices per token are nano-dollars per million tokens, so a sum of tokens times
prices is exact in nano-dollars per million; dividing by a million (and by batch's share) happens last and rounds up to
the next nano-dollar, so that a ledger never understates. All published rates divide evenly.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, TypeVar

from imagequeue.config.catalog.grid import cell
from imagequeue.config.catalog.records import ImagePrices, Model, TokenPrices, TokenRates
from imagequeue.config.catalog.tokens import output_tokens, qualities_of, sizes_of
from imagequeue.config.job import Job
from imagequeue.config.money import NanoUsd

TOKENS_PER_PRICE: Final = 1_000_000
PERCENT: Final = 100
TOKENS_MAX: Final = 10**12
"""More tokens than this in one answer are an error of the server."""

CHARACTERS_PER_TOKEN: Final = 4
"""OpenAI's rule of thumb for English text; used for estimates only."""

PROMPT_OVERHEAD_TOKENS: Final = 64
"""Added to a prompt's upper bound for what the provider wraps around it; an assumption, no figure is published."""

Charge = Literal["now", "batch", "auto"]
"""How a call is delivered; `auto` is priced as `now`, the dearer."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one answer. `unsplit_input` is input that the answer did not split into text and image."""

    text_input: int = 0
    image_input: int = 0
    unsplit_input: int = 0
    image_output: int = 0
    text_output: int = 0

    @property
    def total(self) -> int:
        """All tokens, in and out."""
        return self.text_input + self.image_input + self.unsplit_input + self.image_output + self.text_output

    @classmethod
    def from_answer(cls, answer: Mapping[str, object]) -> "Usage | None":
        """Return the usage in an answer's JSON object, or None when it reports none (no `usage`, or no output count).

        A zero is a zero, not a missing figure. ValueError for a count that is negative, not whole, or absurdly large.
        """
        usage = answer.get("usage")
        if not isinstance(usage, Mapping) or usage.get("output_tokens") is None:
            return None
        into = _counts(usage, "input_tokens_details", ("text_tokens", "image_tokens"))
        out = _counts(usage, "output_tokens_details", ("text_tokens", "image_tokens"))
        input_total, output_total = _count(usage, "input_tokens"), _count(usage, "output_tokens")
        return cls(
            text_input=into[0],
            image_input=into[1],
            unsplit_input=max(0, input_total - sum(into)),
            text_output=out[0],
            image_output=out[1] + max(0, output_total - sum(out)),
        )


def price_call(
    model: Model,
    *,
    size: str | None,
    quality: str | None,
    n: int,
    usage: Usage | None,
    delivery: Charge,
    on: date,
    prompt_characters: int = 0,
    input_images: int = 0,
    partial_images: int = 0,
) -> NanoUsd:
    """Return the price of a call that made `n` images on day `on`.

    For a model priced by tokens the answer's usage decides; without one, the catalog's output tokens, an estimate of
    the prompt's tokens and the bound per input image are charged. For a model priced per image usage is ignored.
    """
    if model.priced_by == "image":
        return _image_price(model, size, quality, n, delivery, on)
    if usage is None:
        usage = Usage(
            text_input=_prompt_tokens(prompt_characters),
            image_input=input_images * model.input_tokens.per_image_max,
            image_output=_output_tokens(model, size, quality, n, partial_images),
        )
    rates = _on(model.token_prices, on).rates
    return _shared(_token_sum(usage, rates, with_images=input_images > 0), TOKENS_PER_PRICE, model, delivery)


def price_upper_bound(
    model: Model,
    *,
    size: str | None,
    quality: str | None,
    n: int,
    delivery: Charge,
    on: date,
    prompt_bytes: int = 0,
    input_images: int = 0,
    partial_images: int = 0,
) -> NanoUsd:
    """Return what a call can cost at most, for the hold that is taken before it.

    `auto` counts as the dearest quality or size. A prompt has at most one token per byte of its UTF-8
    (`prompt_bytes`), plus PROMPT_OVERHEAD_TOKENS; `input_images` counts the mask too. For input images, and for text
    in the answer, the catalog's bounds are assumptions where it says so.
    """
    if model.priced_by == "image":
        return _image_price(model, size, quality, n, delivery, on)
    usage = Usage(
        text_input=prompt_bytes + PROMPT_OVERHEAD_TOKENS,
        image_input=input_images * model.input_tokens.per_image_max,
        image_output=_output_tokens(model, size, quality, n, partial_images),
        text_output=n * model.input_tokens.text_output_max,
    )
    rates = _on(model.token_prices, on).rates
    return _shared(_token_sum(usage, rates, with_images=True), TOKENS_PER_PRICE, model, delivery)


def price_job_upper_bound(
    job: Job, model: Model, *, on: date, until: date | None = None, delivery: Charge | None = None
) -> NanoUsd:
    """Return `price_upper_bound` of one call of a job to a model; the job's own delivery unless another is given.

    `until` is the last day on which the call may be billed: of prices that change till then, the dearest counts.
    """

    def on_day(day: date) -> NanoUsd:
        return price_upper_bound(
            model,
            size=job.size,
            quality=job.quality,
            n=job.n,
            delivery=delivery or job.delivery,
            on=day,
            prompt_bytes=len(job.prompt.encode()),
            input_images=len(job.images) + (job.mask is not None),
            partial_images=job.partial_images,
        )

    begins = [*(each.from_day for each in model.image_prices), *(each.from_day for each in model.token_prices)]
    changes = [day for day in begins if until is not None and on < day <= until]
    return max(map(on_day, (on, *changes)))


def estimate_tokens(
    model: Model,
    *,
    size: str | None,
    quality: str | None,
    n: int,
    prompt_characters: int = 0,
    input_images: int = 0,
    partial_images: int = 0,
) -> int:
    """Return the tokens that a call counts towards the tokens-per-minute ceiling; 0 for a model priced per image.

    Output is counted too: whether the provider does is not documented, and counting it is the safe side.
    """
    if model.priced_by == "image":
        return 0
    into = _prompt_tokens(prompt_characters) + input_images * model.input_tokens.per_image_max
    return into + _output_tokens(model, size, quality, n, partial_images)


def _output_tokens(model: Model, size: str | None, quality: str | None, n: int, partial_images: int) -> int:
    """Return the output tokens of `n` images and of the sketches sent before each of them."""
    sketches = partial_images * model.output_tokens.per_partial_image
    return n * (output_tokens(model, size=size, quality=quality) + sketches)


def _image_price(model: Model, size: str | None, quality: str | None, n: int, delivery: Charge, on: date) -> NanoUsd:
    grid = _on(model.image_prices, on).nano_usd
    pairs = [(quality_, size_) for quality_ in qualities_of(model, quality) for size_ in sizes_of(model, size)]
    prices = [price for pair in pairs if (price := cell(grid, *pair)) is not None]
    if len(prices) < len(pairs):
        raise ValueError(f"{model.name} has no price for quality {quality}, size {size}")
    return _shared(n * max(prices), 1, model, delivery)


def _token_sum(usage: Usage, rates: TokenRates, *, with_images: bool) -> int:
    """Return tokens times rates. Unsplit input is charged at the dearer rate if images were sent, else as text."""
    image_rate = rates.text_input if rates.image_input is None else rates.image_input
    unsplit_rate = max(image_rate, rates.text_input) if with_images else rates.text_input
    text_output_rate = rates.image_output if rates.text_output is None else rates.text_output
    return (
        usage.text_input * rates.text_input
        + usage.image_input * image_rate
        + usage.unsplit_input * unsplit_rate
        + usage.image_output * rates.image_output
        + usage.text_output * text_output_rate
    )


def _shared(amount: int, divisor: int, model: Model, delivery: Charge) -> NanoUsd:
    """Return amount / divisor, times batch's share for a batch, rounded up to a nano-dollar."""
    percent = PERCENT
    if delivery == "batch":
        if model.batch_percent is None:
            raise ValueError(f"{model.name} has no batch price")
        percent = model.batch_percent
    return NanoUsd(-(-amount * percent // (divisor * PERCENT)))


Dated = TypeVar("Dated", ImagePrices, TokenPrices)


def _on(prices: tuple[Dated, ...], day: date) -> Dated:
    """Return the prices of a day: the latest that had begun, or the earliest for days before all of them."""
    begun = [record for record in prices if record.from_day <= day]
    if begun:
        return max(begun, key=lambda record: record.from_day)
    return min(prices, key=lambda record: record.from_day)


def _prompt_tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)


def _counts(usage: Mapping[str, object], table: str, names: tuple[str, ...]) -> list[int]:
    details = usage.get(table)
    return [_count(details, name) if isinstance(details, Mapping) else 0 for name in names]


def _count(table: Mapping[str, object], name: str) -> int:
    value = table.get(name, 0)
    if value is None:
        return 0
    whole = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value) and value.is_integer())
    if isinstance(value, bool) or not isinstance(value, int | float) or not whole or not 0 <= value <= TOKENS_MAX:
        raise ValueError(f"usage.{name}: a whole number from 0 to {TOKENS_MAX} is needed, not {value!r}")
    return int(value)
