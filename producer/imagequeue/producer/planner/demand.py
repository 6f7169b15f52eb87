"""How many images are wanted, and how many must therefore be made, by call and by batch. Pure, in fractions."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from imagequeue.config.errors import JobRefused

DAYS_PER_MONTH: Final = 30
"""A month in every figure of the planner."""
MINUTES_PER_DAY: Final = 1_440
IMAGES_MAX: Final = 10**12
REGENERATIONS_MAX: Final = 1_000
PROMPT_CHARACTERS_MAX: Final = 32_000
PROMPT_CHARACTERS: Final = 400
"""Assumed length of a prompt unless told otherwise: about 100 tokens. It matters to models priced by tokens only."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is wanted. Shares are 0 to 1; `regenerations`: images made for each one that is kept, 1 or more.

    A cache hit costs nothing and makes no call; the batch share of the rest goes through the provider's batches, which
    do not count towards its ceilings per minute.
    """

    images_per_day: Fraction
    cache_hit_rate: Fraction = Fraction(0)
    batch_share: Fraction = Fraction(0)
    regenerations: Fraction = Fraction(1)
    prompt_characters: int = PROMPT_CHARACTERS

    def __post_init__(self) -> None:
        """Refuse what makes no sense, naming the option."""
        _check("images-per-day", self.images_per_day, 0, IMAGES_MAX)
        _check("cache-hit-rate", self.cache_hit_rate, 0, 1)
        _check("batch-share", self.batch_share, 0, 1)
        _check("regenerations", self.regenerations, 1, REGENERATIONS_MAX)
        _check("prompt-characters", Fraction(self.prompt_characters), 0, PROMPT_CHARACTERS_MAX)

    @property
    def made_per_image(self) -> Fraction:
        """Images that the provider makes and bills for one that is wanted."""
        return (1 - self.cache_hit_rate) * self.regenerations

    @property
    def called_per_image(self) -> Fraction:
        """Images made by calls, which the ceilings per minute hold for, for one that is wanted."""
        return self.made_per_image * (1 - self.batch_share)

    @property
    def made_per_day(self) -> Fraction:
        """Images that are made and billed in a day."""
        return self.images_per_day * self.made_per_image

    @property
    def called_per_minute(self) -> Fraction:
        """Images made by calls in a minute, spread evenly over the day."""
        return self.images_per_day * self.called_per_image / MINUTES_PER_DAY


def exact(option: str, text: str) -> Fraction:
    """Return a number as written, without rounding; JobRefused names the option."""
    try:
        number = Decimal(text.replace("_", ""))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > IMAGES_MAX or number.as_tuple().exponent < -18:  # type: ignore[operator]  # finite: a whole number
        raise JobRefused(option, f"a number such as 0.7 or 100000 is needed, not {text!r}")
    return Fraction(number)


def _check(option: str, value: Fraction, least: int, most: int) -> None:
    if not least <= value <= most:
        raise JobRefused(option, f"{least} to {most:,} is accepted")
