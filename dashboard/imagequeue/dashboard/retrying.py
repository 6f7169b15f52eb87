"""Retries all failed jobs of one cause: found page by page through the door, and asked for one by one."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from imagequeue.dashboard.acting import Done, one_done, told
from imagequeue.dashboard.forms import FormRefused
from imagequeue.dashboard.values import rows_at, text_at
from imagequeue.dashboard.viewing import Viewer

JOBS_MAX: Final = 1_000
"""Retried by one form; what is left is told, and takes another."""
PAGES_MAX: Final = 40
PAGE_SIZE: Final = 200
SHOWN_MAX: Final = 200
NARROWED: Final = ("model", "tenant")


async def retry_failed(viewer: Viewer) -> Response:
    """Retry the failed jobs of a cause, of one model or tenant if that is given."""
    cause = viewer.form.one("error")
    if not cause:
        raise FormRefused("error: the cause of the jobs to retry is needed")
    narrowed = {name: viewer.form.one(name) for name in NARROWED if viewer.form.one(name)}
    ids, more = await _failed(viewer, {"error": cause, **narrowed})
    done = [await one_done(viewer, "retry", job_id, {}) for job_id in ids]
    if any(one.answer.logged_out for one in done):
        return viewer.to_login()
    left = f" The limit of {JOBS_MAX:,} at once was reached; there are more." if more else ""
    return viewer.page("Retry", None, told("retry", _first_refused(done), left), here="/jobs")


async def _failed(viewer: Viewer, filters: Mapping[str, str]) -> tuple[list[str], bool]:
    """The ids of jobs that failed so, and whether there are more than are taken."""
    ids: list[str] = []
    after = ""
    for _ in range(PAGES_MAX):
        asked = [("status", "failed"), *filters.items(), ("limit", str(PAGE_SIZE))]
        answer = await viewer.door.get("/v1/jobs", [*asked, *([("after", after)] if after else [])])
        ids += [text_at(row, "id") for row in rows_at(answer.body, "jobs")]
        after = text_at(answer.body, "next")
        if not after or len(ids) >= JOBS_MAX:
            break
    return ids[:JOBS_MAX], bool(after) or len(ids) > JOBS_MAX


def _first_refused(done: list[Done]) -> list[Done]:
    """All of them, the refused ones first: those are what a person looks for."""
    return sorted(done, key=lambda one: not one.answer.problem)
