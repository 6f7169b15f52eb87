"""Figures in words that people read at a glance."""

from datetime import datetime

from imagequeue.config.money import format_usd


def dollars(nano: int) -> str:
    """Return an amount of dollars with at least two decimals, and more only where there are more."""
    whole, _, decimals = format_usd(nano).partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def counted(amount: int, one: str) -> str:
    """Return a number of things, e.g. `1 attempt`, `2 attempts`; `one`: what one of them is called."""
    return f"{amount:,} {one}" if amount == 1 else f"{amount:,} {one}s"


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units, e.g. `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 0.95:
        return f"{max(seconds, 0.0):.1f} s"
    total = round(seconds)
    minutes, rest = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(index for index, (amount, _) in enumerate(units) if amount)
    return " ".join(f"{amount} {unit}" for amount, unit in units[first : first + 2] if amount)


def moment(when: datetime) -> str:
    """Return a time of day in UTC, e.g. `2026-11-22 00:46:47 UTC`."""
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def figure(amount: float | None) -> str:
    """Return a number with thousands apart; a dash for none."""
    if amount is None:
        return "-"
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.1f}"
