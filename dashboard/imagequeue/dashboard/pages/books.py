"""The ledger's state beside its sums: caps, calls in doubt with their age, reconciliation, credits. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from imagequeue.dashboard.door import Answer
from imagequeue.dashboard.html import Html, el, join
from imagequeue.dashboard.layout import badge, empty, part, table, user_text
from imagequeue.dashboard.pages.jobs import job_link
from imagequeue.dashboard.shown import NONE, count, moment, share, span, usd
from imagequeue.dashboard.values import Json, count_at, moment_at, number_at, rows_at, text_at, texts_at, usd_at

KINDS: Final = {
    "org_month": "organization, month",
    "tenant_day": "tenant, day",
    "tenant_month": "tenant, month",
    "tenant_total": "tenant, for ever",
}
ROWS_MAX: Final = 100
WARN_SHARE: Final = 0.8


def books_sections(books: Mapping[str, Answer], now: datetime) -> list[Html]:
    """Return a section for each answer; what the viewer may not see is left out."""
    makers = {"caps": _caps, "doubts": _doubts, "reconciliation": _reconciliation, "credits": _credits}
    titles = {"caps": "Caps", "doubts": "In doubt", "reconciliation": "Reconciliation", "credits": "Credits"}
    return [
        el("section", el("h2", titles[name]), part(name, make(books[name].body, now)))
        for name, make in makers.items()
        if name in books and not books[name].problem
    ]


def _caps(body: Json, _now: datetime) -> Html:
    rows = [_cap(row) for row in rows_at(body, "caps")[:ROWS_MAX]]
    if not rows:
        return empty("No cap is configured: monthly_cap_usd of an organization, IMAGEQUEUE_TENANT_CAPS.")
    numbers = (("limit", "number"), ("used", "number"), ("share", "number"))
    return table("Caps", (("of", ""), ("kind", ""), *numbers, ("starts anew", ""), ("warned at", "")), rows)


def _cap(row: Json) -> Html:
    used = number_at(row, "used_share")
    level = "bad" if used is not None and used >= 1 else "warn" if used is not None and used >= WARN_SHARE else "good"
    warned = [f"{count_at(one, 'percent')} %" for one in rows_at(row, "warnings")]
    return el(
        "tr",
        el("th", user_text(text_at(row, "name")), scope="row"),
        el("td", KINDS.get(text_at(row, "kind"), text_at(row, "kind")), class_="nowrap"),
        *(el("td", usd(usd_at(row, key)), class_="number") for key in ("limit_usd", "used_usd")),
        el("td", badge(share(used), level), class_="number"),
        el("td", moment(moment_at(row, "starts_anew")), class_="nowrap"),
        el("td", ", ".join(warned) or NONE),
    )


def _doubts(body: Json, now: datetime) -> Html:
    rows = [_doubt(row, now) for row in rows_at(body, "doubts")[:ROWS_MAX]]
    if not rows:
        return empty("No call is in doubt: every one that was sent was answered or settled.")
    columns = (("job", ""), ("age", "number"), ("held", "number"), ("model", ""), ("organization", ""), ("tenant", ""))
    said = "Settle them with: imagequeue ledger reconcile, or one by one with: imagequeue ledger resolve"
    return join(table("Calls sent and never answered, the oldest first", columns, rows), el("p", said, class_="quiet"))


def _doubt(row: Json, now: datetime) -> Html:
    since = moment_at(row, "sent_at") or moment_at(row, "held_at")
    age = None if since is None else max((now - since).total_seconds(), 0.0)
    job_id = text_at(row, "job_id")
    return el(
        "tr",
        el("th", el("a", user_text(f"{job_id}, attempt {text_at(row, 'n')}"), href=job_link(job_id)), scope="row"),
        el("td", span(age), class_="number"),
        el("td", usd(usd_at(row, "held_usd")), class_="number"),
        *(el("td", user_text(text_at(row, key))) for key in ("model", "org", "tenant")),
    )


def _reconciliation(body: Json, _now: datetime) -> Html:
    days = sorted(rows_at(body, "days"), key=lambda row: (text_at(row, "day"), text_at(row, "org")), reverse=True)
    by_itself = texts_at(body, "automatic")
    said = (
        f"Compared with the bill every day by the workers: {', '.join(by_itself)}."
        if by_itself
        else "No organization has an admin_key, so no day is compared with the provider's bill by itself."
    )
    if not days:
        return join(empty("No day was compared with the provider's bill yet."), el("p", said, class_="quiet"))
    columns = (
        ("day", ""), ("organization", ""), ("", ""), ("billed", "number"), ("unexplained", "number"),
        ("in doubt", "number"), ("looked at", ""), ("again", ""), ("note", ""),
    )  # fmt: skip
    listed = table("Reconciliation by day", columns, [_day(row) for row in days[:ROWS_MAX]])
    return join(listed, el("p", said, class_="quiet"))


def _day(row: Json) -> Html:
    left = usd_at(row, "unexplained_usd")
    is_open = bool(count_at(row, "failures") or count_at(row, "in_doubt") or left or text_at(row, "note"))
    checked, again = moment_at(row, "checked_at"), moment_at(row, "next_at")
    state = badge("open", "warn") if is_open else badge("agrees", "good") if checked else badge("waits")
    return el(
        "tr",
        el("th", user_text(text_at(row, "day")), scope="row", class_="nowrap"),
        el("td", user_text(text_at(row, "org"))),
        el("td", state),
        el("td", usd(usd_at(row, "billed_usd")), class_="number"),
        el("td", usd(left), class_="number"),
        el("td", count(number_at(row, "in_doubt")), class_="number"),
        el("td", moment(checked), class_="nowrap"),
        el("td", moment(again) if again else "done", class_="nowrap"),
        el("td", user_text(text_at(row, "note") or NONE)),
    )


def _credits(body: Json, now: datetime) -> Html:
    rows = [_grant(row, now) for row in rows_at(body, "credits")[:ROWS_MAX]]
    if not rows:
        return empty("No credits were granted or bought.")
    columns = (
        ("organization", ""), ("kind", ""), ("for", ""), ("left", "number"), ("of", "number"), ("worth left", "number"),
        ("expires", ""),
    )  # fmt: skip
    return table("Credits, what is used first first", columns, rows)


def _grant(row: Json, now: datetime) -> Html:
    expires = moment_at(row, "expires_at")
    over = badge("expired", "bad") if expires is not None and expires <= now else None
    return el(
        "tr",
        el("th", user_text(text_at(row, "org")), scope="row"),
        el("td", text_at(row, "kind")),
        el("td", user_text(text_at(row, "source"))),
        el("td", count(count_at(row, "credits_left")), class_="number"),
        el("td", count(count_at(row, "credits")), class_="number"),
        el("td", usd(usd_at(row, "worth_left_usd")), class_="number"),
        el("td", moment(expires) if expires else "never", " ", over, class_="nowrap"),
    )
