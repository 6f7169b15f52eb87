"""Rows as PostgreSQL arrays, one text for each column: the cheapest way for one statement to take many rows. Pure.

A text that the server takes apart as JSON costs it three times as much, and a statement for each row more than that.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Final, cast

PARAMETER: Final = re.compile(r"%\((\w+)\)s")
TAKES_COLUMNS: Final = "unnest(%("
"""In a statement for PostgreSQL whose parameters are columns of rows."""


def unnested(kinds: Mapping[str, str]) -> str:
    """Return what selects rows from arrays, one parameter for each column; `kinds` are the columns' SQL types.

    In the list of what is selected, where the server walks through all arrays at once. In FROM it would first write
    each of them out.
    """
    return "SELECT " + ", ".join(f"unnest(%({name})s::{kind}[]) AS {name}" for name, kind in kinds.items())


def takes_columns(text: str) -> bool:
    """Return whether a statement takes all rows at once, see `unnested`."""
    return TAKES_COLUMNS in text


def columns(text: str, rows: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """Return the parameters of a statement that takes columns: at least one row, each with all of its names."""
    names, values_of = _columns_of(text)
    return dict(zip(names, map(_array, zip(*map(values_of, rows), strict=True)), strict=True))


@cache
def _columns_of(text: str) -> tuple[list[str], Callable[[Mapping[str, object]], tuple[object, ...]]]:
    names = PARAMETER.findall(text)
    return names, itemgetter(*names)


def _array(values: Sequence[object]) -> str:
    """Return an array of values of one type or None; of most columns, without a look at each of them."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return f"{{{str(list(values))[1:-1]}}}"
    if kinds == {str}:
        texts = cast("Sequence[str]", values)
        joined = '","'.join(texts)
        if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
            return f'{{"{joined}"}}'
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)
