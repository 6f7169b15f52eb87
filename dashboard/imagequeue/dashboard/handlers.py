"""What each address does: asks the door what the page needs, and hands it to the page."""

import asyncio
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from pydantic import SecretStr
from starlette.responses import RedirectResponse, Response

from imagequeue.dashboard.door import Answer
from imagequeue.dashboard.findings import CapUse, nano
from imagequeue.dashboard.html import is_local
from imagequeue.dashboard.layout import ROOT, note
from imagequeue.dashboard.pages import images, job, jobs, ledger, login, overview, pools, settings
from imagequeue.dashboard.sessions import Session
from imagequeue.dashboard.values import rows_at, text_at
from imagequeue.dashboard.viewing import SEE_OTHER, Viewer, set_cookie

STATUS_SECONDS: Final = 1.9
"""A status is asked for anew after so long: a little less than a live page waits between two looks."""
MONEY_SECONDS: Final = 10.0
"""The same for sums of money."""
UNAUTHORIZED: Final = 401
ID_CHARACTERS_MAX: Final = 200


async def show_overview(viewer: Viewer) -> Response:
    """Show whether it is fine; viewers with the same key share what was made for one of them."""
    remembered = viewer.board.overviews.recall(viewer.session.key, STATUS_SECONDS)
    if remembered is not None:
        return viewer.page("Overview", None, remembered, live=True)
    now = viewer.board.clock.now()
    status, today, month = await asyncio.gather(
        viewer.door.get("/v1/status", fresh_seconds=STATUS_SECONDS),
        viewer.door.get("/v1/ledger/summary", [("since", now.date().isoformat())], fresh_seconds=MONEY_SECONDS),
        _month(viewer, now),
    )
    viewer.board.history.note(status.body)
    content = overview.overview(
        overview.Overview(
            status=status, today=today, month=month, caps=_caps(viewer, month), history=viewer.board.history, now=now
        )
    )
    if not status.problem:
        viewer.board.overviews.note(viewer.session.key, content)
    return viewer.page("Overview", status, content, live=True)


async def show_jobs(viewer: Viewer) -> Response:
    """Show a page of jobs."""
    answer = await viewer.door.get("/v1/jobs", jobs.asked(viewer.query))
    content = jobs.jobs_page(answer, viewer.query, viewer.session, viewer.board.clock.now())
    return viewer.page("Jobs", answer, content, here="/jobs")


async def show_job(viewer: Viewer) -> Response:
    """Show one job."""
    job_id = str(viewer.request.path_params["id"])[:ID_CHARACTERS_MAX]
    answer = await viewer.door.get(f"/v1/jobs/{quote(job_id, safe='')}")
    content = job.job_page(answer, viewer.session, viewer.board.clock.now())
    return viewer.page("Job", answer, content, here="/jobs", live=not answer.problem)


async def show_images(viewer: Viewer) -> Response:
    """Show the images made last."""
    answer = await viewer.door.get("/v1/jobs", images.asked(viewer.query.get("after", "")))
    following = images.next_of(answer)
    content = images.images_page(answer, urlencode({"after": following}) if following else "")
    return viewer.page("Images", answer, content, here="/images")


async def show_image(viewer: Viewer) -> Response:
    """Send an image as the door does; it says what kind it is and that nothing in it may run."""
    found = await viewer.door.image(quote(str(viewer.request.path_params["sha256"])[:ID_CHARACTERS_MAX], safe=""))
    if not found.is_success or not found.headers.get("content-type", "").startswith("image/"):
        return Response("no image", found.status_code if found.is_error else 404, media_type="text/plain")
    return Response(
        found.content,
        headers={
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "private, max-age=3600",
            "Content-Disposition": found.headers.get("content-disposition", "attachment"),
        },
        media_type=found.headers["content-type"],
    )


async def show_pools(viewer: Viewer) -> Response:
    """Show pools and organizations."""
    now = viewer.board.clock.now()
    status = await viewer.door.get("/v1/status", fresh_seconds=STATUS_SECONDS)
    caps = _caps(viewer, await _month(viewer, now))
    return viewer.page("Pools", status, pools.pools_page(status, viewer.settings, caps, now), here="/pools", live=True)


async def show_ledger(viewer: Viewer) -> Response:
    """Show what was spent."""
    asked = ledger.asked(viewer.query, viewer.board.clock.now().date())
    answer = await viewer.door.get("/v1/ledger/summary", asked, fresh_seconds=MONEY_SECONDS)
    content = ledger.ledger_page(answer, viewer.query)
    return viewer.page("Ledger", answer, content, here="/ledger", live=not answer.problem)


async def show_settings(viewer: Viewer) -> Response:
    """Show the settings to those who may see them."""
    if viewer.settings is None:
        refused = Answer(status=403, body={}, problem="Settings are shown to a key of scope admin for any tenant.")
        return viewer.page("Settings", refused, note(refused.problem), here="/settings")
    return viewer.page("Settings", None, settings.settings_page(viewer.settings), here="/settings")


async def show_login(viewer: Viewer) -> Response:
    """Show the way in, or go on when no key is needed."""
    back = _back(viewer.query.get("back", ""))
    if viewer.board.context.is_open():
        return RedirectResponse(back, SEE_OTHER)
    return _login(viewer, "", back, 200)


async def log_in(viewer: Viewer) -> Response:
    """Let somebody in with a key."""
    key, back = viewer.form.one("key").strip(), _back(viewer.form.one("back"))
    if viewer.board.context.key_of(key) is None:
        return _login(viewer, "This key is unknown, mistyped, expired or revoked.", back, UNAUTHORIZED)
    viewer.board.sessions.logout(viewer.session.id)
    response = RedirectResponse(back, SEE_OTHER)
    set_cookie(response, viewer.board, viewer.request, viewer.board.sessions.login(SecretStr(key)))
    return response


async def log_out(viewer: Viewer) -> Response:
    """Forget who this was."""
    viewer.board.sessions.logout(viewer.session.id)
    return RedirectResponse(f"{ROOT}/login", SEE_OTHER)


def _login(viewer: Viewer, problem: str, back: str, status: int) -> Response:
    answer = Answer(status=200, body={})
    nobody = Session(id=viewer.session.id, form_token=viewer.session.form_token)
    response = viewer.page("Log in", answer, login.login_page(nobody, problem, back))
    response.status_code = status
    return response


def _back(link: str) -> str:
    return link if is_local(link) and (link == ROOT or link.startswith((f"{ROOT}/", f"{ROOT}?"))) else ROOT


async def _month(viewer: Viewer, now: datetime) -> Answer:
    first = now.date().replace(day=1).isoformat()
    return await viewer.door.get(
        "/v1/ledger/summary", [("group_by", "org"), ("since", first)], fresh_seconds=MONEY_SECONDS
    )


def _caps(viewer: Viewer, month: Answer) -> list[CapUse]:
    """Each organization's use of its cap; for those who may see organizations."""
    used = {
        text_at(group, "org"): sum(nano(group.get(key)) for key in ("settled_usd", "held_usd", "in_doubt_usd"))
        for group in rows_at(month.body, "groups")
    }
    orgs = viewer.settings.orgs if viewer.settings else ()
    return [
        CapUse(name=org.name, used_nano=used.get(org.name, 0), cap_nano=org.monthly_cap_nano_usd)
        for org in orgs
        if org.monthly_cap_nano_usd is not None
    ]
