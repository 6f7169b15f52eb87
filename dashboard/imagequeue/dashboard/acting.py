"""Cancel, retry, keep, change the priority: asked of the door for each job with the viewer's key, told job by job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from imagequeue.dashboard.door import Answer
from imagequeue.dashboard.forms import FormRefused
from imagequeue.dashboard.html import Html, el, join
from imagequeue.dashboard.layout import ROOT, badge, note, table
from imagequeue.dashboard.pages.jobs import job_link
from imagequeue.dashboard.shown import plural
from imagequeue.dashboard.values import text_at
from imagequeue.dashboard.viewing import SEE_OTHER, Viewer

ACTS: Final = ("cancel", "retry", "keep", "priority")
PRIORITY_FIELDS: Final = {"retry": "priority", "priority": "move_to"}
"""Two names, since ticked jobs are retried where they were, in the same form that moves them."""
JOBS_MAX: Final = 200


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of one job."""

    job_id: str
    answer: Answer


async def act(viewer: Viewer) -> Response:
    """Do one thing to the ticked jobs; for a single one that worked, back to it."""
    word, ids = viewer.form.one("act"), viewer.form.many("id")
    if word not in ACTS or len(ids) > JOBS_MAX:
        raise FormRefused(f"{', '.join(ACTS)} of at most {JOBS_MAX} jobs are accepted")
    field = PRIORITY_FIELDS.get(word, "")
    body = {"priority": viewer.form.one(field)} if field and viewer.form.one(field) else {}
    done = [await one_done(viewer, word, job_id, body) for job_id in ids]
    if any(one.answer.logged_out for one in done):
        return viewer.to_login()
    if len(done) == 1 and not done[0].answer.problem:
        return RedirectResponse(job_link(done[0].job_id), SEE_OTHER)
    return viewer.page(word.capitalize(), None, told(word, done), here="/jobs")


async def one_done(viewer: Viewer, word: str, job_id: str, body: Mapping[str, object]) -> Done:
    """Return what came of doing something to a job."""
    return Done(job_id=job_id, answer=await _one(viewer, word, job_id, body))


async def _one(viewer: Viewer, word: str, job_id: str, body: Mapping[str, object]) -> Answer:
    return await viewer.door.post(f"/v1/jobs/{quote(job_id, safe='')}/{word}", body)


def told(word: str, done: list[Done], more: str = "") -> Html:
    """Return what came of each job; `more` is said after the counts."""
    back = el("p", el("a", "Back to the jobs", href=f"{ROOT}/jobs", class_="button"))
    if not done:
        return join(note("No job was ticked."), back)
    refused = sum(1 for one in done if one.answer.problem)
    rows = [_row(one) for one in done]
    summary = f"{word.capitalize()}: {plural(len(done) - refused, 'job')} done" + (
        f", {refused} refused" if refused else ""
    )
    summary += more
    return join(
        el("p", summary, role="status"),
        el("section", table("What came of each job", (("job", ""), ("", ""), ("", "")), rows)),
        back,
    )


def _row(one: Done) -> Html:
    problem = one.answer.problem
    return el(
        "tr",
        el("th", el("a", one.job_id, href=job_link(one.job_id)), scope="row"),
        el("td", badge("refused", "bad") if problem else badge(text_at(one.answer.body, "status"), "good")),
        el("td", problem or text_at(one.answer.body, "note")),
    )
