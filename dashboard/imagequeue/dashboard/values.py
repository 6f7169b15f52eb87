"""Reads the door's JSON answers without trusting their shape: what is missing or of another kind is empty. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

NUMBER_MAX: Final = 1e18
Json = Mapping[str, object]


def at(value: object, *path: str) -> object:
    """Return what stands at a path of keys, None where it ends before."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def text_at(value: object, *path: str) -> str:
    """Return text or a number as text; empty for anything else."""
    found = at(value, *path)
    return str(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else ""


def number_at(value: object, *path: str) -> float | None:
    """Return a number, None for anything else, and for what no figure of ours is as large as."""
    found = at(value, *path)
    if not isinstance(found, int | float) or isinstance(found, bool) or not -NUMBER_MAX <= found <= NUMBER_MAX:
        return None
    return float(found)


def count_at(value: object, *path: str) -> int:
    """Return a whole number, 0 for anything else."""
    return int(number_at(value, *path) or 0)


def rows_at(value: object, *path: str) -> Sequence[Json]:
    """Return the objects of a list, none for anything else."""
    found = at(value, *path)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, Sequence) else []


def texts_at(value: object, *path: str) -> list[str]:
    """Return the texts of a list."""
    found = at(value, *path)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list | tuple) else []


def moment_at(value: object, *path: str) -> datetime | None:
    """Return an ISO 8601 time as aware UTC, None for anything else."""
    found = at(value, *path)
    if not isinstance(found, str):
        return None
    try:
        moment = datetime.fromisoformat(found)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def usd_at(value: object, *path: str) -> Decimal | None:
    """Return an amount of dollars, None for anything else."""
    found = at(value, *path)
    try:
        amount = Decimal(found) if isinstance(found, str) else None
    except InvalidOperation:
        return None
    return amount if amount is None or amount.is_finite() else None
