"""What each address does: asks the door what the page needs, and hands it to the page."""

import asyncio
from typing import Final
from urllib.parse import quote, urlencode

from pydantic import SecretStr
from starlette.responses import RedirectResponse, Response

from imagequeue.config.job import JOB_ID_PATTERN
from imagequeue.dashboard.door import Answer, Parameters
from imagequeue.dashboard.findings import caps_of
from imagequeue.dashboard.html import Html, is_local
from imagequeue.dashboard.layout import ROOT, note
from imagequeue.dashboard.pages import failures, images, job, jobs, ledger, login, overview, plan, pools, settings
from imagequeue.dashboard.sessions import Session
from imagequeue.dashboard.viewing import SEE_OTHER, Viewer, set_cookie

STATUS_SECONDS: Final = 2.8
"""A status is asked for anew after so long: a little less than a live page waits between two looks."""
MONEY_SECONDS: Final = 20.0
"""The same for sums of money, and for all that changes as slowly."""
ADVICE_SECONDS: Final = 300.0
UNAUTHORIZED: Final = 401
BOOKS: Final = ("caps", "doubts", "reconciliation", "credits")
ID_CHARACTERS_MAX: Final = 200


async def show_overview(viewer: Viewer) -> Response:
    """Show whether it is fine; viewers with the same key share what was made for one of them."""
    status, content = await viewer.board.overviews.shared(viewer.session.key, STATUS_SECONDS, lambda: _overview(viewer))
    return viewer.page("Overview", status, content, live=True)


async def _overview(viewer: Viewer) -> tuple[Answer, Html]:
    now = viewer.board.clock.now()
    asked: tuple[tuple[str, Parameters, float], ...] = (
        ("/v1/status", (), STATUS_SECONDS),
        ("/v1/ledger/summary", (("since", now.date().isoformat()),), MONEY_SECONDS),
        ("/v1/ledger/summary", (("group_by", "org"), ("since", now.date().replace(day=1).isoformat())), MONEY_SECONDS),
        ("/v1/ledger/calls", (), MONEY_SECONDS),
        ("/v1/webhooks", (), MONEY_SECONDS),
        ("/v1/ledger/caps", (), MONEY_SECONDS),
        ("/v1/advice", (), ADVICE_SECONDS),
    )
    status, today, month, calls, webhooks, caps, advised = await asyncio.gather(
        *(viewer.door.get(path, parameters, fresh_seconds=seconds) for path, parameters, seconds in asked)
    )
    viewer.board.history.note(status.body)
    content = overview.overview(
        overview.Overview(
            status=status,
            today=today,
            month=month,
            calls=calls,
            webhooks=webhooks,
            caps=caps_of(caps.body),
            advised=advised,
            history=viewer.board.history,
            now=now,
        )
    )
    return status, content


async def show_jobs(viewer: Viewer) -> Response:
    """Show a page of jobs."""
    named = viewer.query.get("q", "").strip()
    if JOB_ID_PATTERN.fullmatch(named) and not (await viewer.door.get(f"/v1/jobs/{named}")).problem:
        return RedirectResponse(jobs.job_link(named), SEE_OTHER)
    answer = await viewer.door.get("/v1/jobs", jobs.asked(viewer.query))
    causes = await _causes(viewer)
    content = jobs.jobs_page(answer, viewer.query, viewer.session, viewer.board.clock.now(), causes)
    return viewer.page("Jobs", answer, content, here="/jobs")


async def show_job(viewer: Viewer) -> Response:
    """Show one job."""
    job_id = str(viewer.request.path_params["id"])[:ID_CHARACTERS_MAX]
    path = f"/v1/jobs/{quote(job_id, safe='')}"
    answer = await viewer.door.get(path)
    told = await viewer.door.get(f"{path}/webhooks", fresh_seconds=MONEY_SECONDS) if not answer.problem else answer
    content = job.job_page(answer, told.body, viewer.session, viewer.board.clock.now())
    return viewer.page("Job", answer, content, here="/jobs", live=not answer.problem)


async def show_images(viewer: Viewer) -> Response:
    """Show the images made last."""
    answer = await viewer.door.get("/v1/jobs", images.asked(viewer.query.get("after", "")))
    following = images.next_of(answer)
    content = images.images_page(answer, urlencode({"after": following}) if following else "")
    return viewer.page("Images", answer, content, here="/images")


async def show_thumbnail(viewer: Viewer) -> Response:
    """Send a small picture of an image."""
    return await _picture(viewer, "/thumbnail")


async def show_image(viewer: Viewer) -> Response:
    """Send an image."""
    return await _picture(viewer, "")


async def _picture(viewer: Viewer, suffix: str) -> Response:
    """Send a picture as the door does; it says what kind it is and that nothing in it may run."""
    sha256 = quote(str(viewer.request.path_params["sha256"])[:ID_CHARACTERS_MAX], safe="")
    found = await viewer.door.image(f"{sha256}{suffix}")
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
    caps = await viewer.door.get("/v1/ledger/caps", fresh_seconds=MONEY_SECONDS)
    shown = pools.Shown(settings=viewer.settings, caps=caps_of(caps.body), session=viewer.session, now=now)
    return viewer.page("Pools", status, pools.pools_page(status, shown), here="/pools", live=True)


async def show_ledger(viewer: Viewer) -> Response:
    """Show what was spent."""
    now = viewer.board.clock.now()
    summary, *books = await asyncio.gather(
        viewer.door.get("/v1/ledger/summary", ledger.asked(viewer.query, now.date()), fresh_seconds=MONEY_SECONDS),
        *(viewer.door.get(f"/v1/ledger/{name}", fresh_seconds=MONEY_SECONDS) for name in BOOKS),
    )
    content = ledger.ledger_page(summary, dict(zip(BOOKS, books, strict=True)), viewer.query, now)
    return viewer.page("Ledger", summary, content, here="/ledger", live=not summary.problem)


async def show_plan(viewer: Viewer) -> Response:
    """Show what a volume of images needs and costs, or the empty form."""
    asked = plan.asked(viewer.query)
    answer = await viewer.door.get("/v1/plan", asked, fresh_seconds=MONEY_SECONDS) if asked else None
    return viewer.page("Planner", answer, plan.plan_page(answer, viewer.query), here="/plan")


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


async def _causes(viewer: Viewer) -> failures.Causes | None:
    """Why jobs failed, where failed jobs are looked for."""
    if viewer.query.get("status") != "failed":
        return None
    answer = await viewer.door.get("/v1/jobs", failures.asked(viewer.query), fresh_seconds=STATUS_SECONDS)
    return failures.causes(answer)
