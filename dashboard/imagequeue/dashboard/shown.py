"""How figures, times and money read on a page. Pure."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from imagequeue.dashboard.html import Html, el

NONE: Final = "\N{EN DASH}"
"""Stands where there is no figure."""
CENT: Final = Decimal("0.01")
FINE: Final = Decimal("0.0001")
FINEST: Final = Decimal("0.000001")
UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def usd(amount: Decimal | None) -> str:
    """Return dollars: cents from a dollar on, up to four decimals below it, up to six below a cent."""
    if amount is None:
        return NONE
    sign, amount = ("-" if amount < 0 else ""), abs(amount)
    if amount >= 1:
        return f"{sign}${amount.quantize(CENT, ROUND_HALF_EVEN):,}"
    whole, _, decimals = f"{amount.quantize(FINE if amount >= CENT else FINEST, ROUND_HALF_EVEN):f}".partition(".")
    return f"{sign}${whole}.{decimals.rstrip('0').ljust(2, '0')}"


def count(value: float | None) -> str:
    """Return a number with thousands apart, and one decimal unless it is whole."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def share(value: float | None) -> str:
    """Return a share as a percentage."""
    return NONE if value is None else f"{value * 100:,.0f}\N{NO-BREAK SPACE}%"


def fine_share(value: float | None) -> str:
    """Return a share that is small when all is well: one decimal below 10 %."""
    if value is None or not 0 < value < 0.1:
        return share(value)
    return f"{value * 100:.1f}\N{NO-BREAK SPACE}%"


def span(seconds: float | None) -> str:
    """Return a length of time by its two largest units: `2 d 3 h`, `4 min 5 s`, `80 ms`."""
    if seconds is None:
        return NONE
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    rest, parts = int(seconds), []
    for size, unit in (*UNITS, (1, "s")):
        whole, rest = divmod(rest, size)
        if whole:
            parts.append(f"{whole} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def moment(when: datetime | None) -> Html:
    """Return a time as the machine-readable element; the script words it in the viewer's own zone."""
    if when is None:
        return el("span", NONE)
    utc = when.astimezone(UTC)
    return el("time", utc.strftime("%Y-%m-%d %H:%M:%S UTC"), datetime=utc.strftime("%Y-%m-%dT%H:%M:%SZ"))


def plural(amount: int, one: str, many: str | None = None) -> str:
    """Return a count and its noun."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"
