"""The way in: a key of the HTTP door, sent once. Pure."""

from imagequeue.dashboard.html import Html, el
from imagequeue.dashboard.layout import ROOT, form_token, note
from imagequeue.dashboard.sessions import Session


def login_page(session: Session, problem: str, back: str) -> Html:
    """Return the page's content; `back` is where the viewer wanted to go."""
    key = el("input", type_="password", name="key", required=True, autocomplete="current-password", autofocus=True)
    return el(
        "section",
        note(problem, "bad") if problem else None,
        el(
            "form",
            form_token(session),
            el("input", type_="hidden", name="back", value=back),
            _username(),
            el("label", "API key", key),
            el("button", "Log in", class_="main"),
            method="post",
            action=f"{ROOT}/login",
        ),
        el(
            "p",
            "Make a key with: imagequeue keys create --name NAME. It is kept in this server's memory only.",
            class_="quiet",
        ),
        class_="login",
    )


def _username() -> Html:
    """Return a field that nobody sees, by which password managers file the key."""
    return el("input", name="username", autocomplete="username", value="imagequeue", hidden=True, aria_label="For")
