"""What was spent, by day, model, organization, tenant or tag; per image made and kept; what was saved. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from imagequeue.dashboard.door import Answer, Parameters
from imagequeue.dashboard.html import Html, el, join
from imagequeue.dashboard.layout import ROOT, empty, note, part, table, user_text
from imagequeue.dashboard.pages.books import books_sections
from imagequeue.dashboard.shown import count, usd
from imagequeue.dashboard.values import Json, count_at, number_at, rows_at, text_at, usd_at

GROUPS: Final = ("day", "model", "org", "tenant", "priority", "intent")
SPANS: Final[Mapping[str, int | None]] = {"today": 1, "7 days": 7, "30 days": 30, "ever": None}
DEFAULT_SPAN: Final = "30 days"
ROWS_MAX: Final = 200


def asked(query: Mapping[str, str], today: date) -> Parameters:
    """Return what the door is asked for."""
    days = SPANS.get(query.get("span", DEFAULT_SPAN), SPANS[DEFAULT_SPAN])
    since = [] if days is None else [("since", (today - timedelta(days=days - 1)).isoformat())]
    return [("group_by", _group(query)), *since]


def ledger_page(answer: Answer, books: Mapping[str, Answer], query: Mapping[str, str], now: datetime) -> Html:
    """Return the page's content; `books` has the ledger's state beside the sums, by name."""
    if answer.problem:
        return join(_choice(query), note(answer.problem, "bad"))
    return join(
        _choice(query),
        part("totals", _totals(answer.body)),
        el("section", el("h2", f"By {_group(query)}"), part("groups", _groups(answer.body, _group(query)))),
        el("section", el("h2", "Saved"), part("savings", _savings(answer.body))),
        el("section", el("h2", "Attempts"), part("attempts", _attempts(answer.body))),
        *books_sections(books, now),
    )


def _group(query: Mapping[str, str]) -> str:
    tag = query.get("tag", "").strip()
    if tag:
        return f"tag:{tag[:100]}"
    wanted = query.get("by", "")
    return wanted if wanted in GROUPS else "day"


def _choice(query: Mapping[str, str]) -> Html:
    def choices(name: str, words: Sequence[str], chosen: str) -> Html:
        return el("select", *(el("option", word, value=word, selected=word == chosen) for word in words), name=name)

    return el(
        "form",
        el("label", "time", choices("span", list(SPANS), query.get("span", DEFAULT_SPAN))),
        el("label", "by", choices("by", GROUPS, query.get("by", "day"))),
        el("label", "or by tag", el("input", name="tag", value=query.get("tag", ""), placeholder="key", maxlength=100)),
        el("button", "Show", class_="main"),
        class_="filters",
        method="get",
        action=f"{ROOT}/ledger",
    )


def _totals(body: Json) -> Html:
    tiles = (
        (usd(usd_at(body, "settled_usd")), "spent"),
        (usd(usd_at(body, "held_usd")), "held for calls"),
        (usd(usd_at(body, "in_doubt_usd")), "in doubt"),
        (count(count_at(body, "images")), "images"),
        (usd(usd_at(body, "usd_per_image")), "an image"),
        (usd(usd_at(body, "usd_per_kept_image")), "a kept image"),
        (usd(usd_at(body, "saved_usd")), "saved"),
        (count(number_at(body, "regenerations_per_intent")), "regenerations per intent"),
    )
    return el("ul", *(el("li", el("strong", value), el("span", name)) for value, name in tiles), class_="tiles")


def _groups(body: Json, by: str) -> Html:
    groups = rows_at(body, "groups")
    if not groups:
        return empty("Nothing was spent in this time.")
    ordered = sorted(groups, key=lambda group: text_at(group, by), reverse=True) if by == "day" else _by_cost(groups)
    most = max([usd_at(group, "settled_usd") or Decimal(0) for group in groups])
    columns = (
        (by, ""),
        ("", ""),
        *((name, "number") for name in ("spent", "in doubt", "images", "an image", "a kept image")),
    )
    rows = [_row(group, by, most) for group in ordered[:ROWS_MAX]]
    more = None
    if len(groups) > ROWS_MAX:
        more = el("p", f"The first {ROWS_MAX} of {len(groups):,} are shown.", class_="quiet")
    return join(table(f"Cost by {by}", columns, rows), more)


def _by_cost(groups: Sequence[Json]) -> list[Json]:
    return sorted(groups, key=lambda group: usd_at(group, "settled_usd") or Decimal(0), reverse=True)


def _row(group: Json, by: str, most: Decimal) -> Html:
    name = text_at(group, by) or "none"
    spent = usd_at(group, "settled_usd") or Decimal(0)
    numbers = (
        usd(spent),
        usd(usd_at(group, "in_doubt_usd")),
        count(count_at(group, "images")),
        usd(usd_at(group, "usd_per_image")),
        usd(usd_at(group, "usd_per_kept_image")),
    )
    part_of_most = float(spent / most) if most else 0.0
    bar = el("meter", min=0, max=1, value=round(part_of_most, 4), aria_label=f"{name}: {usd(spent)}")
    return el(
        "tr",
        el("th", user_text(name), scope="row"),
        el("td", bar),
        *(el("td", value, class_="number") for value in numbers),
    )


def _savings(body: Json) -> Html:
    names = (
        ("cache", "answered by stored results"),
        ("coalesced", "answered by another job's call"),
        ("batch", "batches at half the price"),
        ("overflow", "overflow to dearer models (below zero: a premium)"),
    )
    pairs = [join(el("dt", label), el("dd", usd(usd_at(body, "savings", name)))) for name, label in names]
    return el("dl", *pairs)


def _attempts(body: Json) -> Html:
    states = ("settled", "voided", "in_doubt", "held", "reconciled")
    pairs = [join(el("dt", state.replace("_", " ")), _count(body, "attempts", state)) for state in states]
    return el("dl", *pairs, el("dt", "cache hits"), _count(body, "cache_hits"))


def _count(body: Json, *path: str) -> Html:
    return el("dd", count(number_at(body, *path)))
