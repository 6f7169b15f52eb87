"""The frame around every page: head, navigation, what went wrong, and where the live state is told. Pure."""

from typing import Final

from imagequeue.dashboard.html import Child, Html, el, join
from imagequeue.dashboard.sessions import Session

ROOT: Final = "/dashboard"
PAGES: Final = (
    ("", "Overview"),
    ("/jobs", "Jobs"),
    ("/images", "Images"),
    ("/pools", "Pools"),
    ("/ledger", "Ledger"),
    ("/plan", "Planner"),
    ("/settings", "Settings"),
)


def page(title: str, session: Session | None, *children: Child, here: str = "", live: bool = False) -> str:
    """Return a whole page. `here` is the path of the page's place in the navigation; `live` says that it refreshes."""
    document = el(
        "html",
        el(
            "head",
            el("meta", charset="utf-8"),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("title", f"{title} \N{MIDDLE DOT} imagequeue"),
            el("link", rel="icon", href=f"{ROOT}/static/icon.svg"),
            el("link", rel="stylesheet", href=f"{ROOT}/static/style.css"),
            el("script", src=f"{ROOT}/static/live.js", defer=True),
        ),
        el(
            "body",
            el("a", "Skip to the content", class_="skip", href="#content"),
            el("header", el("div", _brand(), _navigation(session, here), class_="bar")) if session else None,
            el("main", el("h1", title), *children, id="content"),
            el("footer", el("p", "Live" if live else "", id="live-state", role="status")) if session else None,
        ),
        lang="en",
    )
    return f"<!doctype html>{document}"


def note(text: str, level: str = "warn") -> Html:
    """Return a line that must be read: `warn` or `bad`."""
    return el("p", text, class_=f"note {level}", role="alert")


def empty(text: str) -> Html:
    """Return what stands where there is nothing to show."""
    return el("p", text, class_="empty")


def part(name: str, *children: Child) -> Html:
    """Return a part of a page that stays live."""
    return el("div", *children, id=f"live-{name}", data_live=True)


def badge(text: str, level: str = "") -> Html:
    """Return a word with a colour: `good`, `warn`, `bad` or none."""
    return el("span", text, class_=f"badge {level}".rstrip())


def user_text(value: str, **attributes: str) -> Html:
    """Return somebody's words, set in their own direction and apart from what stands around them."""
    return el("bdi", value, dir="auto", **attributes)


def table(caption: str, columns: tuple[tuple[str, str], ...], rows: list[Html]) -> Html:
    """Return a table; a column is its heading and a class, e.g. `number`."""
    head = el("tr", *(el("th", name, scope="col", class_=kind or None) for name, kind in columns))
    return el(
        "div",
        el("table", el("caption", caption, class_="visually-hidden"), el("thead", head), el("tbody", *rows)),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def form_token(session: Session) -> Html:
    """Return the field that proves a form to be ours."""
    return el("input", type_="hidden", name="form_token", value=session.form_token)


def _brand() -> Html:
    return el("a", "imagequeue", class_="brand", href=ROOT)


def _navigation(session: Session | None, here: str) -> Html:
    links = [el("a", name, href=f"{ROOT}{path}", aria_current="page" if path == here else None) for path, name in PAGES]
    logout = None
    if session is not None and session.key is not None:
        logout = el(
            "form",
            form_token(session),
            el("button", "Log out"),
            class_="logout",
            method="post",
            action=f"{ROOT}/logout",
        )
    return join(el("nav", *links, aria_label="Pages"), logout)
