"""Failed jobs by their cause, each with a button that retries all of them. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from imagequeue.dashboard.door import Answer, Parameters
from imagequeue.dashboard.html import Html, el
from imagequeue.dashboard.layout import ROOT, form_token, table, user_text
from imagequeue.dashboard.sessions import Session
from imagequeue.dashboard.shown import count
from imagequeue.dashboard.values import rows_at, text_at

LOOKED_AT_MAX: Final = 500
CAUSES_MAX: Final = 30
NARROWED: Final = ("model", "tenant")


@dataclass(frozen=True, kw_only=True)
class Cause:
    """An error code, how many jobs failed with it, and what one of them says."""

    code: str
    jobs: int
    example: str


@dataclass(frozen=True, kw_only=True)
class Causes:
    """Causes of the newest failed jobs, the most frequent first; `complete`: there are no others."""

    found: Sequence[Cause]
    complete: bool


def asked(query: Mapping[str, str]) -> Parameters:
    """Return what the door is asked for."""
    narrowed = [(name, query[name].strip()) for name in NARROWED if query.get(name, "").strip()]
    return [("status", "failed"), *narrowed, ("limit", str(LOOKED_AT_MAX))]


def causes(answer: Answer) -> Causes:
    """Return the causes of the jobs of an answer."""
    rows = [row for row in rows_at(answer.body, "jobs") if text_at(row, "error", "code")]
    counted = Counter(text_at(row, "error", "code") for row in rows)
    examples = {text_at(row, "error", "code"): text_at(row, "error", "message") for row in reversed(rows)}
    found = [Cause(code=code, jobs=jobs, example=examples[code]) for code, jobs in counted.most_common(CAUSES_MAX)]
    return Causes(found=found, complete=not text_at(answer.body, "next"))


def causes_section(causes: Causes, query: Mapping[str, str], session: Session) -> Html | None:
    """Return the section; None when nothing failed."""
    if not causes.found:
        return None
    columns = (("cause", ""), ("jobs", "number"), ("what one of them says", ""), ("", ""))
    rows = [_row(cause, query, session, complete=causes.complete) for cause in causes.found]
    return el("section", el("h2", "Why they failed"), table("Failed jobs by cause", columns, rows))


def _row(cause: Cause, query: Mapping[str, str], session: Session, *, complete: bool) -> Html:
    narrowed = [(name, query[name].strip()) for name in NARROWED if query.get(name, "").strip()]
    link = f"{ROOT}/jobs?{urlencode([('status', 'failed'), ('error', cause.code), *narrowed])}"
    return el(
        "tr",
        el("th", el("a", user_text(cause.code), href=link), scope="row"),
        el("td", count(cause.jobs) + ("" if complete else " or more"), class_="number"),
        el("td", user_text(cause.example[:300], class_="prompt")),
        el(
            "td",
            el(
                "form",
                form_token(session),
                el("input", type_="hidden", name="error", value=cause.code),
                *(el("input", type_="hidden", name=name, value=value) for name, value in narrowed),
                el("button", "Retry all", aria_label=f"Retry all that failed with {cause.code}"),
                method="post",
                action=f"{ROOT}/jobs/retry-failed",
            ),
        ),
    )
