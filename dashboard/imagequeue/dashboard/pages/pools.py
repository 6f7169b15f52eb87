"""Pools and organizations: ceilings with their source, what was learned, what stands still and why. Pure."""

from collections.abc import Sequence
from datetime import datetime

from imagequeue.config.settings import Settings
from imagequeue.dashboard.door import Answer
from imagequeue.dashboard.findings import CapUse, dollars
from imagequeue.dashboard.html import Html, el, join
from imagequeue.dashboard.layout import empty, note, table
from imagequeue.dashboard.pages.overview import part, pool_state
from imagequeue.dashboard.shown import NONE, count, moment, share
from imagequeue.dashboard.values import Json, count_at, moment_at, number_at, rows_at, text_at, texts_at

Columns = tuple[tuple[str, str], ...]
POOL_COLUMNS: Columns = (
    ("pool", ""), ("state", ""), ("images/min", "number"), ("tokens/min", "number"), ("pace", "number"),
    ("used", "number"), ("started", "number"), ("refused", "number"), ("models", ""), ("ceiling from", ""),
)  # fmt: skip
ORG_COLUMNS: Columns = (
    ("organization", ""), ("kind", ""), ("tier", ""), ("weight", "number"), ("address", ""), ("cap a month", "number"),
    ("used this month", "number"),
)  # fmt: skip


def pools_page(answer: Answer, settings: Settings | None, caps: Sequence[CapUse], now: datetime) -> Html:
    """Return the page's content; organizations are shown to those who may see `settings`."""
    if answer.problem:
        return note(answer.problem, "bad")
    pools = rows_at(answer.body, "pools")
    rows = [_pool(pool, now) for pool in pools]
    listed = table("Pools", POOL_COLUMNS, rows) if rows else empty("No organization is configured.")
    return join(
        el("section", el("h2", "Pools"), part("pools", listed, _stopped(pools))),
        None if settings is None else el("section", el("h2", "Organizations"), _orgs(settings, caps)),
    )


def _pool(pool: Json, now: datetime) -> Html:
    numbers = (
        count(number_at(pool, "images_per_minute")),
        count(number_at(pool, "tokens_per_minute")),
        count(number_at(pool, "pace_images_per_minute")),
        share(number_at(pool, "used_share")),
        count(count_at(pool, "images_started")),
        count(count_at(pool, "calls_refused")),
    )
    return el(
        "tr",
        el("th", text_at(pool, "name"), scope="row", class_="nowrap"),
        el("td", pool_state(pool, now)),
        *(el("td", value, class_="number") for value in numbers),
        el("td", ", ".join(texts_at(pool, "models")) or NONE),
        el("td", text_at(pool, "source"), class_="quiet"),
    )


def _stopped(pools: Sequence[Json]) -> Html | None:
    lines = []
    for pool in pools:
        name = text_at(pool, "name")
        if text_at(pool, "suspended"):
            until = moment_at(pool, "suspended_until")
            ends = ["; ends ", moment(until)] if until else [f"; end it with: imagequeue resume '{name}'"]
            lines.append(el("li", f"{name} is suspended: {text_at(pool, 'suspended')}", ends, class_="bad"))
        elif text_at(pool, "pause_reason"):
            until = moment_at(pool, "paused_until")
            lines.append(el("li", f"{name} is paused until ", moment(until), f": {text_at(pool, 'pause_reason')}"))
    return el("ul", *lines, class_="notes") if lines else None


def _orgs(settings: Settings, caps: Sequence[CapUse]) -> Html:
    used = {cap.name: cap for cap in caps}
    rows = [
        el(
            "tr",
            el("th", org.name, scope="row"),
            el("td", org.kind),
            el("td", org.tier),
            el("td", count(org.weight), class_="number"),
            el("td", org.base_url),
            el("td", NONE if org.monthly_cap_nano_usd is None else dollars(org.monthly_cap_nano_usd), class_="number"),
            el("td", dollars(used[org.name].used_nano) if org.name in used else NONE, class_="number"),
        )
        for org in settings.orgs
    ]
    return table("Organizations", ORG_COLUMNS, rows) if rows else empty("No organization is configured.")
