"""Pools and organizations: ceilings, their source, what was learned, what stands still and why, switches. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from imagequeue.config.settings import Settings
from imagequeue.dashboard.door import Answer
from imagequeue.dashboard.findings import CapUse, dollars
from imagequeue.dashboard.html import Html, el, join
from imagequeue.dashboard.layout import ROOT, empty, form_token, note, part, table, user_text
from imagequeue.dashboard.pages.overview import pool_state
from imagequeue.dashboard.sessions import Session
from imagequeue.dashboard.shown import NONE, count, moment, share
from imagequeue.dashboard.values import Json, moment_at, number_at, rows_at, text_at, texts_at

Columns = tuple[tuple[str, str], ...]
POOL_COLUMNS: Columns = (
    ("pool", ""), ("state", ""), ("images/min", "number"), ("tokens/min", "number"), ("pace", "number"),
    ("used", "number"), ("with the cache", "number"), ("started", "number"), ("refused", "number"), ("models", ""),
    ("ceiling from", ""),
)  # fmt: skip
ORG_COLUMNS: Columns = (
    ("organization", ""), ("kind", ""), ("tier", ""), ("weight", "number"), ("address", ""), ("cap a month", "number"),
    ("used this month", "number"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the page is made of beside the status. `settings` None: the viewer may neither see nor switch them."""

    settings: Settings | None
    caps: Sequence[CapUse]
    session: Session
    now: datetime


def pools_page(answer: Answer, shown: Shown) -> Html:
    """Return the page's content; organizations and switches are for those who may see the settings."""
    if answer.problem:
        return note(answer.problem, "bad")
    pools = rows_at(answer.body, "pools")
    rows = [_pool(pool, shown.now) for pool in pools]
    listed = table("Pools", POOL_COLUMNS, rows) if rows else empty("No organization is configured.")
    return join(
        el("section", el("h2", "Pools"), part("pools", listed, _stopped(pools, shown))),
        _switches(pools, shown.session) if shown.settings is not None and rows else None,
        el("section", el("h2", "Organizations"), _orgs(shown.settings, shown.caps)) if shown.settings else None,
    )


def _switches(pools: Sequence[Json], session: Session) -> Html:
    names = [text_at(pool, "name") for pool in pools]
    choice = el("select", *(el("option", name, value=name) for name in names), name="pool")
    form = el(
        "form",
        form_token(session),
        el("label", "pool", choice),
        el("label", "why", el("input", name="reason", maxlength=200, placeholder="weekend")),
        el("label", "for minutes", el("input", name="minutes", inputmode="numeric", maxlength=6, placeholder="no end")),
        el("button", "Suspend", name="act", value="suspend"),
        el("button", "Resume", name="act", value="resume"),
        class_="filters",
        method="post",
        action=f"{ROOT}/pools/act",
    )
    said = "A suspended pool starts no calls; those in flight go on. Resuming also ends a pause and a lowered pace."
    return el("section", el("h2", "Suspend or resume"), form, el("p", said, class_="quiet"))


def _pool(pool: Json, now: datetime) -> Html:
    numbers = (
        count(number_at(pool, "images_per_minute")),
        count(number_at(pool, "tokens_per_minute")),
        count(number_at(pool, "pace_images_per_minute")),
        share(number_at(pool, "used_share")),
        count(_whole(number_at(pool, "effective_images_per_minute"))),
        count(number_at(pool, "images_started")),
        count(number_at(pool, "calls_refused")),
    )
    return el(
        "tr",
        el("th", text_at(pool, "name"), scope="row", class_="nowrap"),
        el("td", pool_state(pool, now)),
        *(el("td", value, class_="number") for value in numbers),
        el("td", ", ".join(texts_at(pool, "models")) or NONE),
        el("td", user_text(text_at(pool, "source")), _learned(pool), class_="quiet"),
    )


def _whole(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _learned(pool: Json) -> Html | None:
    why = text_at(pool, "lowered")
    return el("div", "Learned: ", user_text(why)) if why and why not in text_at(pool, "source") else None


def _stopped(pools: Sequence[Json], shown: Shown) -> Html | None:
    lines = []
    for pool in pools:
        name = text_at(pool, "name")
        if text_at(pool, "suspended"):
            until = moment_at(pool, "suspended_until")
            ends = ["; ends ", moment(until)] if until else []
            button = _resume(name, shown.session) if shown.settings is not None else None
            said = f"{name} is suspended: {text_at(pool, 'suspended')}"
            lines.append(el("li", user_text(said), ends, button, class_="bad"))
        elif text_at(pool, "pause_reason"):
            until = moment_at(pool, "paused_until")
            lines.append(el("li", f"{name} is paused until ", moment(until), f": {text_at(pool, 'pause_reason')}"))
    return el("ul", *lines, class_="notes") if lines else None


def _resume(name: str, session: Session) -> Html:
    fields = (form_token(session), el("input", type_="hidden", name="pool", value=name))
    button = el("button", "Resume", name="act", value="resume", aria_label=f"Resume {name}")
    return el("form", *fields, button, class_="inline", method="post", action=f"{ROOT}/pools/act")


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
