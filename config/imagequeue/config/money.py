"""Money: an integer of nano-dollars inside, a decimal string outside. Never a float."""

from decimal import Decimal, InvalidOperation
from typing import NewType

NanoUsd = NewType("NanoUsd", int)
"""One billionth of a US dollar. $0.04 is 40_000_000."""

NANO_DECIMALS = 9
NANO_PER_USD = 10**NANO_DECIMALS
USD_MAX = 10**9  # amounts beyond a billion dollars are typing errors; also keeps sums within 64 bits


def parse_usd(text: str | int | Decimal) -> NanoUsd:
    """Return `text` dollars exactly; ValueError when it is no amount or finer than a nano-dollar."""
    try:
        dollars = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"not an amount of dollars: {str(text)!r}") from error
    if not dollars.is_finite() or abs(dollars) > USD_MAX:
        raise ValueError(f"not an amount of dollars: {str(text)!r}")
    nano = int(dollars * NANO_PER_USD)
    if Decimal(nano).scaleb(-NANO_DECIMALS) != dollars:  # compared exactly; the product above may have been rounded
        raise ValueError(f"finer than a nano-dollar: {str(text)!r}")
    return NanoUsd(nano)


def format_usd(amount: int) -> str:
    """Return the amount with all nine decimals, e.g. `0.040000000`; exact for every integer."""
    sign = "-" if amount < 0 else ""
    whole, nano = divmod(abs(amount), NANO_PER_USD)
    return f"{sign}{whole}.{nano:09d}"
