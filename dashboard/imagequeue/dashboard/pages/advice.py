"""What the door advises for the longer run: each finding, the worst first, with what would help. Pure."""

from typing import Final

from imagequeue.dashboard.html import Html, el
from imagequeue.dashboard.layout import badge, user_text
from imagequeue.dashboard.values import Json, rows_at, text_at

LEVELS: Final = {"critical": "bad", "warning": "warn"}
ORDER: Final = ("critical", "warning")
FINDINGS_MAX: Final = 20
OPTIONS_MAX: Final = 10


def advice_section(body: Json) -> Html | None:
    """Return the section; None when nothing is advised, or the viewer may not see it."""
    found = sorted(rows_at(body, "findings"), key=_rank)[:FINDINGS_MAX]
    if not found:
        return None
    return el("section", el("h2", "Worth knowing"), el("ul", *(_finding(row) for row in found), class_="advice"))


def _rank(row: Json) -> int:
    severity = text_at(row, "severity")
    return ORDER.index(severity) if severity in ORDER else len(ORDER)


def _finding(row: Json) -> Html:
    severity = text_at(row, "severity")
    options = [el("li", user_text(text_at(option, "text"))) for option in rows_at(row, "options")[:OPTIONS_MAX]]
    return el(
        "li",
        badge(severity, LEVELS[severity]) if severity in LEVELS else None,
        " ",
        user_text(text_at(row, "text")),
        el("ul", *options) if options else None,
    )
