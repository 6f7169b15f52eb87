"""The costs and usage reports over the bill: time buckets, filters, groups, pages. Pure.

Shapes follow OpenAI's `GET /organization/costs` and `GET /organization/usage/images` (OpenAPI description 2026-08-21).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from imagequeue.config.catalog import Catalog, Usage, price_call
from imagequeue.config.money import NANO_PER_USD
from imagequeue.simulator.bill import BillRow

WIDTH_SECONDS: Final[Mapping[str, int]] = {"1m": 60, "1h": 3_600, "1d": 86_400}
COST_GROUPS: Final = ("project_id", "line_item", "api_key_id")
USAGE_GROUPS: Final = ("project_id", "user_id", "api_key_id", "model", "size", "source")
COST_BUCKETS: Final = {"1d": (7, 180)}
"""By bucket width: how many buckets a page has unless told, and how many at most."""
USAGE_BUCKETS: Final = {"1d": (7, 31), "1h": (24, 168), "1m": (60, 1_440)}


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a report is asked for. Times are Unix seconds; `filters` maps a field to its accepted values."""

    start_time: int
    end_time: int
    width_seconds: int
    limit: int
    group_by: tuple[str, ...]
    filters: Mapping[str, frozenset[str]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A part of one bill row's price, as the costs report itemizes it."""

    fields: Mapping[str, str]
    nano_usd: int
    quantity: int
    unit: str


Results = Callable[[Sequence[BillRow], Query], list[dict[str, object]]]


def page(rows: Iterable[BillRow], query: Query, results: Results) -> dict[str, object]:
    """Return one page of a report; `next_page` is the start time of the bucket after the last."""
    starts = list(_starts(query))
    shown, more = starts[: query.limit], starts[query.limit : query.limit + 1]
    by_start: dict[int, list[BillRow]] = {}
    for row in rows:
        if row.billed and query.start_time <= row.at < query.end_time and _passes(row, query.filters):
            by_start.setdefault(int(row.at) // query.width_seconds * query.width_seconds, []).append(row)
    return {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": start,
                "end_time": start + query.width_seconds,
                "results": results(by_start.get(start, []), query),
            }
            for start in shown
        ],
        "has_more": bool(more),
        "next_page": f"page_{more[0]}" if more else None,
    }


def _starts(query: Query) -> Iterator[int]:
    first = query.start_time // query.width_seconds * query.width_seconds
    end = min(query.end_time, first + (query.limit + 1) * query.width_seconds)
    return iter(range(first, end, query.width_seconds))


def fields_of(row: BillRow) -> dict[str, str]:
    """Return what a row can be filtered and grouped by."""
    return {
        "project_id": row.project,
        "user_id": f"user-{row.org}",
        "api_key_id": f"key_{row.org}",
        "model": row.model,
        "size": row.size,
        "source": row.source,
    }


def _passes(row: BillRow, filters: Mapping[str, frozenset[str]]) -> bool:
    fields = fields_of(row)
    return all(fields[name] in accepted for name, accepted in filters.items())


def usage_results(rows: Sequence[BillRow], query: Query) -> list[dict[str, object]]:
    """Return images and requests by the asked groups."""
    groups: dict[tuple[str | None, ...], list[BillRow]] = {}
    for row in rows:
        groups.setdefault(_key(fields_of(row), USAGE_GROUPS, query), []).append(row)
    return [
        {
            "object": "organization.usage.images.result",
            "images": sum(row.n for row in found),
            "num_model_requests": len(found),
            **dict(zip(USAGE_GROUPS, key, strict=True)),
        }
        for key, found in groups.items()
    ]


def cost_results(catalog: Catalog) -> Results:
    """Return the function that sums money by the asked groups; the catalog splits token prices into line items."""

    def results(rows: Sequence[BillRow], query: Query) -> list[dict[str, object]]:
        sums: dict[tuple[str | None, ...], list[Line]] = {}
        for row in rows:
            for line in lines(row, catalog):
                sums.setdefault(_key(line.fields, COST_GROUPS, query), []).append(line)
        return [_cost(dict(zip(COST_GROUPS, key, strict=True)), found) for key, found in sums.items()]

    return results


def _cost(group: dict[str, str | None], found: Sequence[Line]) -> dict[str, object]:
    units = {line.unit for line in found}
    itemized = group["line_item"] is not None
    return {
        "object": "organization.costs.result",
        "amount": {"value": sum(line.nano_usd for line in found) / NANO_PER_USD, "currency": "usd"},
        **group,
        "quantity": sum(line.quantity for line in found) if itemized else None,
        "quantity_unit": units.pop() if itemized and len(units) == 1 else None,
    }


def _key(fields: Mapping[str, str], groups: Sequence[str], query: Query) -> tuple[str | None, ...]:
    return tuple(fields[name] if name in query.group_by else None for name in groups)


def lines(row: BillRow, catalog: Catalog) -> list[Line]:
    """Return a row's price in line items, `MODEL, images` or `MODEL, input_tokens` and `MODEL, output_tokens`.

    The items always sum to the row's price.
    """
    fields = fields_of(row)
    if row.usage is None:
        item = {**fields, "line_item": f"{row.model}, images"}
        return [Line(fields=item, nano_usd=row.nano_usd, quantity=row.n, unit="images")]
    input_tokens = row.usage["text_input"] + row.usage["image_input"]
    input_price = _input_price(row, catalog)
    parts = (
        ("input_tokens", input_price, input_tokens),
        ("output_tokens", row.nano_usd - input_price, row.usage["image_output"]),
    )
    return [
        Line(fields={**fields, "line_item": f"{row.model}, {name}"}, nano_usd=nano, quantity=quantity, unit="tokens")
        for name, nano, quantity in parts
    ]


def _input_price(row: BillRow, catalog: Catalog) -> int:
    usage = row.usage or {}
    return price_call(
        catalog.model(row.model),
        size=row.size,
        quality=row.quality,
        n=row.n,
        usage=Usage(text_input=usage["text_input"], image_input=usage["image_input"]),
        delivery="batch" if row.batch else "now",
        on=datetime.fromtimestamp(row.at, UTC).date(),
    )
