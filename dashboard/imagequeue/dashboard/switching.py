"""Suspends and resumes a pool: asked of the door with the viewer's own key."""

from typing import Final
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from imagequeue.dashboard.forms import FormRefused
from imagequeue.dashboard.layout import ROOT, note
from imagequeue.dashboard.viewing import SEE_OTHER, Viewer

ACTS: Final = ("suspend", "resume")
REFUSED: Final = 400


async def switch(viewer: Viewer) -> Response:
    """Start no more calls in a pool, or start them again."""
    word, (org, _, group) = viewer.form.one("act"), viewer.form.one("pool").partition("|")
    if word not in ACTS or not org or not group:
        raise FormRefused(f"{' or '.join(ACTS)} of a pool is accepted")
    body = _suspension(viewer) if word == "suspend" else {}
    answer = await viewer.door.post(f"/v1/pools/{quote(org, safe='')}/{quote(group, safe='')}/{word}", body)
    if answer.problem:
        return viewer.page("Pools", answer, note(answer.problem, "bad"), here="/pools")
    viewer.board.forget()
    return RedirectResponse(f"{ROOT}/pools", SEE_OTHER)


def _suspension(viewer: Viewer) -> dict[str, object]:
    reason, minutes = viewer.form.one("reason").strip(), viewer.form.one("minutes").strip()
    found: dict[str, object] = {"reason": reason} if reason else {}
    if minutes:
        if not (minutes.isascii() and minutes.isdecimal()):
            raise FormRefused("minutes: a whole number, or nothing for as long as it is not resumed, is accepted")
        found["minutes"] = int(minutes[:9])
    return found
