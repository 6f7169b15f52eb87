"""The list of jobs: filters, a page at a time, and what can be done to those that are ticked. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from imagequeue.config.job import PRIORITIES
from imagequeue.dashboard.door import Answer, Parameters
from imagequeue.dashboard.html import Html, el, join
from imagequeue.dashboard.layout import ROOT, badge, empty, form_token, note, table, user_text
from imagequeue.dashboard.pages.failures import Causes, causes_section
from imagequeue.dashboard.sessions import Session
from imagequeue.dashboard.shown import NONE, moment, span, usd
from imagequeue.dashboard.values import Json, moment_at, rows_at, text_at, usd_at

STATUSES: Final = ("queued", "waiting", "running", "succeeded", "failed", "cancelled", "expired")
LEVELS: Final[Mapping[str, str]] = {
    "succeeded": "good",
    "failed": "bad",
    "expired": "bad",
    "waiting": "warn",
    "cancelled": "warn",
}
FILTERS: Final = ("q", "status", "model", "priority", "tenant", "tag", "error")
PAGE_SIZE: Final = 50


def asked(query: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what the door is asked for: the filters that are filled in, the cursor, and a page's size."""
    named = [(name, query[name].strip()) for name in (*FILTERS, "after") if query.get(name, "").strip()]
    return [*named, ("limit", str(PAGE_SIZE))]


def jobs_page(
    answer: Answer, query: Mapping[str, str], session: Session, now: datetime, causes: Causes | None = None
) -> Html:
    """Return the page's content."""
    return join(
        _filters(query),
        note(answer.problem, "bad") if answer.problem else None,
        causes_section(causes, query, session) if causes is not None else None,
        el("section", _listed(answer, session, now), _pages(answer, query)) if not answer.problem else None,
    )


def status_badge(job: Json) -> Html:
    """Return a job's status with its colour."""
    status = text_at(job, "status")
    return badge(status or "unknown", LEVELS.get(status, ""))


def job_link(job_id: str) -> str:
    """Return the address of a job's page; an id can only ever be one part of it."""
    return f"{ROOT}/jobs/{quote(job_id, safe='')}"


def why(job: Json, now: datetime) -> str:
    """Return why a job waits and for how long yet, or why it failed; empty for others."""
    if text_at(job, "error", "code"):
        return f"{text_at(job, 'error', 'code')}: {text_at(job, 'error', 'message')}"
    reason, until = text_at(job, "waiting", "reason"), moment_at(job, "waiting", "until")
    if not reason:
        return ""
    left = "" if until is None or until <= now else f" for about {span((until - now).total_seconds())}"
    detail = text_at(job, "waiting", "detail")
    return f"{reason}{left}" + (f": {detail}" if detail else "")


def _filters(query: Mapping[str, str]) -> Html:
    return el(
        "form",
        _field("words of the prompt, or an id", query, "lighthouse", name="q"),
        _select("status", STATUSES, query),
        _field("model", query, "dall-e-3"),
        _select("priority", PRIORITIES, query),
        _field("tenant", query, "default"),
        _field("tag", query, "key=value"),
        _field("cause of failure", query, "content_policy_violation", name="error"),
        el("button", "Show", class_="main"),
        el("a", "All", class_="button", href=f"{ROOT}/jobs"),
        class_="filters",
        method="get",
        action=f"{ROOT}/jobs",
        role="search",
    )


def _select(name: str, words: Sequence[str], query: Mapping[str, str]) -> Html:
    options = [el("option", word, value=word, selected=query.get(name) == word) for word in words]
    return el("label", name, el("select", el("option", "any", value=""), *options, name=name))


def _field(label: str, query: Mapping[str, str], example: str, name: str = "") -> Html:
    name = name or label
    return el("label", label, el("input", name=name, value=query.get(name, ""), placeholder=example, maxlength=200))


def _listed(answer: Answer, session: Session, now: datetime) -> Html:
    rows = rows_at(answer.body, "jobs")
    if not rows:
        looked = "No job is like that among those looked at so far; the next page goes on."
        return empty(looked if text_at(answer.body, "next") else "No job is like that.")
    tick_all = el("input", type_="checkbox", data_all=True, aria_label="Tick all jobs of this page")
    names = (
        ("status", ""),
        ("prompt", ""),
        ("model", ""),
        ("priority", ""),
        ("tenant", ""),
        ("cost", "number"),
        ("enqueued", ""),
    )
    listed = table("Jobs", (("tick", "tick"), *names), [_row(job, now) for job in rows])
    buttons = [
        el("label", tick_all, " all of this page"),
        el("button", "Retry ticked", name="act", value="retry"),
        el("button", "Cancel ticked", name="act", value="cancel"),
        el("button", "Move ticked to", name="act", value="priority"),
        el("select", *(el("option", name, value=name) for name in PRIORITIES), name="move_to", aria_label="Priority"),
    ]
    return el(
        "form",
        form_token(session),
        listed,
        el("div", *buttons, class_="actions"),
        method="post",
        action=f"{ROOT}/jobs/act",
    )


def _row(job: Json, now: datetime) -> Html:
    job_id = text_at(job, "id")
    prompt = text_at(job, "job", "prompt")
    reason = why(job, now)
    tick = el("input", type_="checkbox", name="id", value=job_id, aria_label=f"Tick job {job_id}")
    return el(
        "tr",
        el("td", tick),
        el("td", status_badge(job)),
        el(
            "th",
            el("a", user_text(prompt[:300] or job_id, class_="prompt"), href=job_link(job_id)),
            el("div", user_text(reason), class_="quiet prompt") if reason else None,
            scope="row",
        ),
        el("td", text_at(job, "job", "model") or NONE, class_="nowrap"),
        el("td", text_at(job, "job", "priority") or NONE),
        el("td", user_text(text_at(job, "job", "tenant") or NONE)),
        el("td", usd(usd_at(job, "cost", "usd")), class_="number"),
        el("td", moment(moment_at(job, "timings", "enqueued")), class_="nowrap"),
    )


def _pages(answer: Answer, query: Mapping[str, str]) -> Html | None:
    links = []
    kept: Parameters = [(name, query[name]) for name in FILTERS if query.get(name)]
    if query.get("after"):
        links.append(el("a", "First page", class_="button", href=f"?{urlencode(list(kept))}"))
    following = text_at(answer.body, "next")
    if following:
        links.append(el("a", "Next page", class_="button", href=f"?{urlencode([*kept, ('after', following)])}"))
    return el("nav", *links, class_="actions", aria_label="More jobs") if links else None
