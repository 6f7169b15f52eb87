"""The settings, read-only: what is in force, with every secret hidden. Pure."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, SecretStr

from imagequeue.config.settings import Settings
from imagequeue.dashboard.html import Html, el, join
from imagequeue.dashboard.layout import table

HIDDEN: Final = "set (hidden)"
ELSEWHERE: Final = ("orgs", "catalog")
"""Organizations have a page of their own, and the catalog a command."""


def settings_page(settings: Settings) -> Html:
    """Return the page's content."""
    names = [name for name in type(settings).model_fields if name not in ELSEWHERE]
    rows = [
        el("tr", el("th", name, scope="row"), el("td", el("code", shown(getattr(settings, name))))) for name in names
    ]
    return join(
        el("p", "As this process read them when it started. Change them in the environment or the file, and restart."),
        el("section", table("Settings", (("setting", ""), ("value", "")), rows)),
    )


def shown(value: object) -> str:
    """Return a value as text; a secret only says that it is there."""
    match value:
        case None:
            return "not set"
        case SecretStr():
            return HIDDEN if value.get_secret_value() else "not set"
        case BaseModel():
            return shown({name: getattr(value, name) for name in type(value).model_fields})
        case Mapping():
            return ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) or "empty"
        case tuple() | list() | frozenset():
            return ", ".join(map(shown, value)) or "empty"
    return str(value)
