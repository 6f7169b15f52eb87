"""From a request to a viewer and back: who looks, what they may see, and what is answered when they may not."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from imagequeue.config.clock import Clock
from imagequeue.config.errors import ImageQueueError
from imagequeue.config.settings import Settings
from imagequeue.dashboard.door import Answer, Door, MountContext
from imagequeue.dashboard.forms import Form, FormRefused, read_form
from imagequeue.dashboard.guard import HEADERS, is_own_form
from imagequeue.dashboard.history import History
from imagequeue.dashboard.html import Child, Html
from imagequeue.dashboard.layout import ROOT, note, page
from imagequeue.dashboard.memory import Memory
from imagequeue.dashboard.sessions import Session, Sessions, same_token

COOKIE: Final = "imagequeue_session"
SEE_OTHER: Final = 303
FORBIDDEN: Final = 403
UNEXPECTED: Final = 500

log = structlog.get_logger("imagequeue.dashboard")


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """What all requests share."""

    context: MountContext
    clock: Clock
    sessions: Sessions
    answers: Memory[Answer]
    overviews: Memory[tuple[Answer, Html]]
    history: History

    def forget(self) -> None:
        """Let nothing that was read before a change be shown after it."""
        self.answers.clear()
        self.overviews.clear()


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """One request of somebody who may look. `oversees`: they may see settings and organizations."""

    request: Request
    board: Dashboard
    session: Session
    oversees: bool
    form: Form

    @property
    def door(self) -> Door:
        """The door, asked with the viewer's own key."""
        host = self.request.headers.get("host", "localhost")
        return Door(self.request.app, host, self.session.key, self.board.answers)

    @property
    def settings(self) -> Settings | None:
        """The settings, for those who may see them."""
        return self.board.context.settings if self.oversees else None

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of those that come twice, the last."""
        return dict(self.request.query_params)

    def page(self, title: str, answer: Answer | None, *children: Child, here: str = "", live: bool = False) -> Response:
        """Return a page; with the status of the answer that it is made of, or the way in when the key is no more."""
        if answer is not None and answer.logged_out:
            return self.to_login()
        status = 200 if answer is None or not answer.problem else answer.status
        return HTMLResponse(page(title, self.session, *children, here=here, live=live), status)

    def to_login(self) -> Response:
        """Return the way in, and from there back to here."""
        return RedirectResponse(_login_link(self.request), SEE_OTHER)


Handler = Callable[[Viewer], Awaitable[Response]]


def route(board: Dashboard, path: str, handler: Handler, *, method: str = "GET", to_all: bool = False) -> Route:
    """Return the route of a handler; `to_all`: also to those who are not logged in."""

    async def endpoint(request: Request) -> Response:
        try:
            response = await _served(board, request, handler, to_all=to_all)
        except ImageQueueError as error:
            response = _told("Not accepted", str(error), FORBIDDEN)
        except Exception:  # the boundary: logged, and told without anything of the inside
            log.exception("unexpected fault")
            response = _told("Unexpected fault", "The log says what happened.", UNEXPECTED)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return Route(f"{ROOT}{path}", endpoint, methods=[method], name=f"dashboard {handler.__name__}")


async def _served(board: Dashboard, request: Request, handler: Handler, *, to_all: bool) -> Response:
    if board.context.is_open():
        board.context.check_same_machine(request)
    found = board.sessions.find(request.cookies.get(COOKIE))
    session = found or board.sessions.anonymous()
    oversees = _oversees(board, session)
    if oversees is None and not to_all:
        return RedirectResponse(_login_link(request), SEE_OTHER)
    form = await _own_form(request, session) if request.method == "POST" else Form([])
    viewer = Viewer(request=request, board=board, session=session, oversees=bool(oversees), form=form)
    response = await handler(viewer)
    if found is None and COOKIE not in response.headers.get("set-cookie", ""):
        set_cookie(response, board, request, session)
    return response


def set_cookie(response: Response, board: Dashboard, request: Request, session: Session) -> None:
    """Give a browser its session: for this part of this site, out of reach of scripts, over TLS where there is any."""
    public_url = board.context.settings.public_url or str(request.url)
    secure = public_url.startswith("https://")
    response.set_cookie(COOKIE, session.id, path=ROOT, httponly=True, samesite="strict", secure=secure)


def _oversees(board: Dashboard, session: Session) -> bool | None:
    """Whether somebody may see everything; None when they may see nothing."""
    if board.context.is_open():
        return True
    key = board.context.key_of(session.key.get_secret_value()) if session.key else None
    return None if key is None else key.tenant is None and "admin" in key.scopes


async def _own_form(request: Request, session: Session) -> Form:
    form = await read_form(request)
    if not is_own_form(request.headers) or not same_token(form.one("form_token"), session):
        raise FormRefused("this form is not of this page, or the page is too old; load it again")
    return form


def _login_link(request: Request) -> str:
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"{ROOT}/login?back={quote(back, safe='')}"


def _told(title: str, text: str, status: int) -> Response:
    return HTMLResponse(page(title, None, note(text, "bad")), status)
