"""The first page: whether it is fine, what waits and runs, how calls go, the pace against ceilings, money. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from imagequeue.dashboard.chart import chart
from imagequeue.dashboard.door import Answer
from imagequeue.dashboard.findings import CapUse, Seen, dollars, findings
from imagequeue.dashboard.history import History, is_told
from imagequeue.dashboard.html import Html, el, join
from imagequeue.dashboard.layout import ROOT, badge, empty, note, part, table, user_text
from imagequeue.dashboard.pages.advice import advice_section
from imagequeue.dashboard.shown import NONE, count, fine_share, moment, plural, share, span, usd
from imagequeue.dashboard.values import Json, count_at, moment_at, number_at, rows_at, text_at, texts_at, usd_at

CAPS_MAX = 20
"""The fullest so many are shown."""
COUNTED = (
    (("attempts", "settled"), "calls answered with images"),
    (("attempts", "voided"), "calls refused or failed, not billed"),
    (("cache_hits",), "answered by the cache"),
)


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What the page is made of."""

    status: Answer
    today: Answer
    month: Answer
    calls: Answer
    webhooks: Answer
    caps: Sequence[CapUse]
    advised: Answer
    history: History
    now: datetime


def overview(found: Overview) -> Html:
    """Return the page's content."""
    if found.status.problem:
        return part("problem", note(found.status.problem, "bad"))
    status = found.status.body
    return join(
        part("findings", _findings(found)),
        part("tiles", _tiles(status, found)),
        el("section", el("h2", "Queues"), part("queues", _queues(status))),
        el("section", el("h2", "Pace against the ceiling, last 10 minutes"), part("pools", _pools(found))),
        el("section", el("h2", "Money"), part("money", _money(found))),
        el("section", el("h2", "Workers"), part("workers", _workers(status))),
        _webhooks(found.webhooks.body),
        part("advice", advice_section(found.advised.body)),
    )


def _findings(found: Overview) -> Html:
    seen = Seen(
        status=found.status.body,
        month=found.month.body,
        caps=found.caps,
        calls=found.calls.body,
        webhooks=found.webhooks.body,
        ledger_problem=found.month.problem or found.today.problem,
    )
    said = findings(seen, found.now)
    return el("ul", *(el("li", finding.text, class_=finding.level, dir="auto") for finding in said), class_="notes")


def _tiles(status: Json, found: Overview) -> Html:
    totals = status.get("totals")
    figures = [(name, count(count_at(totals, name))) for name in ("queued", "running", "waiting", "parked", "failed")]
    hints = {"waiting": "waiting for a time", "parked": "waiting for a person or a batch", "running": "in flight"}
    tiles = [_tile(value, hints.get(name, name), f"{ROOT}/jobs?status={_STATUS[name]}") for name, value in figures]
    ages = [age for queue in rows_at(status, "queues") if (age := number_at(queue, "oldest_s")) is not None]
    oldest = _tile(span(max(ages, default=None)), "age of the oldest job", f"{ROOT}/jobs?status=queued")
    return el("ul", *tiles, oldest, *_calls(status, found.calls.body), *_spent(found), class_="tiles")


def _calls(status: Json, calls: Json) -> list[Html]:
    failed = f"{ROOT}/jobs?status=failed"
    return [
        _tile(span(number_at(calls, "p50_s")), "median call", "#live-pools"),
        _tile(span(number_at(calls, "p95_s")), "95 of 100 calls are faster", "#live-pools"),
        _tile(fine_share(number_at(calls, "error_rate")), "calls failed, 10 minutes", failed),
        _tile(share(number_at(status, "cache", "hit_rate")), "from the cache, a day", f"{ROOT}/ledger"),
    ]


def _spent(found: Overview) -> list[Html]:
    today, month = (usd(usd_at(answer.body, "settled_usd")) for answer in (found.today, found.month))
    images = count(number_at(found.today.body, "images"))
    return [
        _tile(images, "images today (UTC)", f"{ROOT}/images"),
        _tile(today, "spent today (UTC)", f"{ROOT}/ledger?span=today"),
        _tile(month, "spent this month", f"{ROOT}/ledger"),
    ]


_STATUS = {"queued": "queued", "running": "running", "waiting": "waiting", "parked": "waiting", "failed": "failed"}


def _tile(value: str, name: str, link: str) -> Html:
    return el("li", el("a", el("strong", value), el("span", name), href=link))


def _queues(status: Json) -> Html:
    rows = [_queue(queue) for queue in rows_at(status, "queues")]
    if not rows:
        return empty("No job was ever enqueued. Make the first one with: imagequeue enqueue --prompt TEXT")
    numbers = ("queued", "in flight", "waiting", "parked", "failed", "oldest")
    columns = (("model", ""), ("priority", ""), *((name, "number") for name in numbers))
    return table("Queues by model and priority", columns, rows)


def _queue(queue: Json) -> Html:
    oldest = number_at(queue, "oldest_s")
    unserved = badge("not served", "bad") if queue.get("served") is False else None
    model, priority = text_at(queue, "model"), text_at(queue, "priority")
    link = f"{ROOT}/jobs?{urlencode({'model': model, 'priority': priority})}"
    counts = (el("td", count(count_at(queue, key)), class_="number") for key in _COUNTS)
    return el(
        "tr",
        el("th", el("a", model or NONE, href=link), " ", unserved, scope="row", class_="nowrap"),
        el("td", priority),
        *counts,
        el("td", span(oldest), class_="number"),
    )


_COUNTS = ("queued", "running", "waiting", "parked", "failed")


def _pools(found: Overview) -> Html:
    pools = rows_at(found.status.body, "pools")
    busy = [pool for pool in pools if _is_busy(pool)]
    if not busy:
        return empty(f"{len(pools)} pools are configured and none has started a call yet.")
    legend = [
        el("span", word, class_=f"key {kind}".rstrip())
        for kind, word in (
            ("", "images a minute"),
            ("ceiling", "ceiling"),
            ("pace", "pace aimed at"),
            ("refused", "429"),
            ("paused", "paused"),
        )
    ]
    return join(
        el("div", *(_pool(pool, found) for pool in busy), class_="pools"),
        el("p", *legend, class_="legend", aria_hidden="true"),
    )


def _is_busy(pool: Json) -> bool:
    if not is_told(pool):
        return True
    return bool(count_at(pool, "images_started") or count_at(pool, "calls_refused") or text_at(pool, "suspended"))


def _pool(pool: Json, found: Overview) -> Html:
    name = text_at(pool, "name")
    told = is_told(pool)
    points = found.history.points(name) if told else []
    ceiling, pace = number_at(pool, "images_per_minute"), number_at(pool, "pace_images_per_minute")
    rate = points[-1].rate if points else None
    against = "no ceiling" if ceiling is None else f"of {count(ceiling)} a minute"
    used = None if rate is None or not ceiling else rate / ceiling
    return el(
        "figure",
        el(
            "figcaption",
            el("strong", name),
            el("span", count(None if rate is None else round(rate, 1)), " ", against, " ", _used(used)),
            pool_state(pool, found.now),
        ),
        chart(name, points, ceiling, pace, found.now) if told else None,
    )


def _used(used: float | None) -> Html | None:
    return None if used is None else el("span", f"({share(used)})", class_="quiet")


def pool_state(pool: Json, now: datetime) -> Html:
    """Return whether a pool starts calls, or why not."""
    until = moment_at(pool, "paused_until")
    if text_at(pool, "suspended"):
        return badge("suspended", "bad")
    if until is not None and until > now:
        return badge(f"paused for {span((until - now).total_seconds())}", "warn")
    if text_at(pool, "unserved") and not texts_at(pool, "models"):
        return badge("not served", "bad")
    factor = number_at(pool, "factor")
    if factor is not None and factor < 1:
        return badge(f"slowed to {share(factor)}", "warn")
    return badge("open", "good")


def _money(found: Overview) -> Html:
    if found.today.problem:
        return note(found.today.problem)
    columns = (("", ""), ("today", "number"), ("this month", "number"))
    names = (
        ("settled_usd", "spent"),
        ("held_usd", "held for calls"),
        ("in_doubt_usd", "in doubt"),
        ("saved_usd", "saved"),
    )
    both = (found.today.body, found.month.body)
    rows = [_figures(name, [usd(usd_at(body, key)) for body in both]) for key, name in names]
    rows += [_figures(name, [count(count_at(body, *path)) for body in both]) for path, name in COUNTED]
    return join(table("Money today and this month, UTC", columns, rows), _caps(found.caps))


def _figures(name: str, figures: Sequence[str]) -> Html:
    return el("tr", el("th", name, scope="row"), *(el("td", figure, class_="number") for figure in figures))


def _caps(caps: Sequence[CapUse]) -> Html | None:
    if not caps:
        return None
    fullest = sorted(caps, key=lambda cap: cap.share, reverse=True)[:CAPS_MAX]
    more = len(caps) - len(fullest)
    rows = [
        el(
            "tr",
            el("th", user_text(cap.name), scope="row"),
            el("td", cap.period, class_="quiet nowrap"),
            el("td", meter(cap.share, f"{cap.name}: {share(cap.share)} of its cap")),
            el("td", f"{dollars(cap.used_nano)} of {dollars(cap.cap_nano)}", class_="number"),
        )
        for cap in fullest
    ]
    listed = table("Use of caps, the fullest first", (("cap", ""), ("", ""), ("used", ""), ("dollars", "number")), rows)
    return join(listed, el("p", f"{more} more are less used.", class_="quiet") if more else None)


def meter(used: float, label: str) -> Html:
    """Return a bar from 0 to 1, worded for those who do not see it."""
    return el(
        "meter", min=0, max=1, low=0.5, high=0.8, optimum=0, value=round(min(max(used, 0.0), 1.0), 4), aria_label=label
    )


def _webhooks(body: Json) -> Html | None:
    rows = [
        el(
            "tr",
            el("th", user_text(text_at(one, "name")), scope="row", class_="nowrap"),
            el("td", badge("disabled", "bad") if one.get("disabled") is True else badge("in use", "good")),
            *(el("td", count(count_at(one, key)), class_="number") for key in ("delivered", "failed", "given_up")),
            el("td", user_text(text_at(one, "last_error") or NONE)),
        )
        for one in rows_at(body, "endpoints")
    ]
    if not rows:
        return None
    numbers = (("delivered", "number"), ("failed", "number"), ("given up", "number"))
    listed = table("Webhooks", (("endpoint", ""), ("state", ""), *numbers, ("last error", "")), rows)
    waits = (
        f"{plural(count_at(body, 'waiting'), 'message')} wait to be sent, {count_at(body, 'retrying')} failed before."
    )
    return el("section", el("h2", "Webhooks"), part("webhooks", listed, el("p", waits, class_="quiet")))


def _workers(status: Json) -> Html:
    workers = rows_at(status, "workers")
    if not workers:
        return empty("No worker is running.")
    columns = (
        ("worker", ""),
        ("host", ""),
        ("process", "number"),
        ("state", ""),
        ("in flight", "number"),
        ("lease until", ""),
        ("note", ""),
    )
    rows = [
        el(
            "tr",
            el("th", text_at(worker, "name"), scope="row", class_="nowrap"),
            el("td", text_at(worker, "host")),
            el("td", text_at(worker, "pid"), class_="number"),
            el("td", text_at(worker, "state")),
            el("td", count(count_at(worker, "in_flight")), class_="number"),
            el("td", moment(moment_at(worker, "lease_until")), class_="nowrap"),
            el("td", text_at(worker, "note") or NONE),
        )
        for worker in workers
    ]
    return table("Workers", columns, rows)
