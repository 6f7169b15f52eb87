"""Builds HTML that is escaped unless it was built here; there is no way to pass markup in as text. Pure.

A prompt, a tag or a name is only ever a child or an attribute's value, and both are escaped. Links must stay on this
origin, handlers and styles in attributes are refused, and scripts have no text of their own.
"""

import re
from collections.abc import Iterable
from html import escape
from typing import Final

VOID: Final = frozenset({"input", "img", "meta", "link", "br", "hr"})
LINKS: Final = frozenset({"href", "src", "action", "formaction"})
TEXTLESS: Final = frozenset({"script", "style"})
CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
CONTROLS: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "�")


class Html(str):
    """Markup that this module made."""

    __slots__ = ()


Child = Html | str | int | None | Iterable["Child"]
"""What stands in an element: markup, text, a number, nothing, or more of them."""

Value = str | int | float | bool | None
"""An attribute's value. True: the bare attribute; False and None: no attribute."""


def el(tag: str, *children: Child, **attributes: Value) -> Html:
    """Return an element. `class_` is class, `for_` is for, and any other underscore a hyphen: `aria_label`.

    ValueError for what must never be in a page: an inline handler or style, a link to elsewhere, a script's text.
    """
    if tag in TEXTLESS and children:
        raise ValueError(f"{tag}: only as a file, never as text")
    opened = "".join(("<", tag, *(_attribute(name, value) for name, value in attributes.items()), ">"))
    if tag in VOID:
        return Html(opened)
    return Html("".join((opened, *map(_child, children), "</", tag, ">")))


def text(value: str) -> Html:
    """Return text as markup; control characters that no text needs become replacement characters."""
    shown = value.translate(CONTROLS) if CONTROL.search(value) else value  # few texts have any, and looking is cheaper
    return Html(escape(shown))


def join(*children: Child) -> Html:
    """Return children one after the other, without an element around them."""
    return Html("".join(map(_child, children)))


def _child(child: Child) -> str:
    if isinstance(child, Html):
        return child
    if child is None:
        return ""
    if isinstance(child, str | int):
        return text(str(child))
    return "".join(map(_child, child))


def _attribute(name: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    if written.startswith("on") or written == "style" or not written.replace("-", "").isalnum():
        raise ValueError(f"{written}: no attribute of a page")
    if value is True:
        return f" {written}"
    if written in LINKS and not is_local(str(value)):
        raise ValueError(f"{written}: a link within this origin is needed, not {value!r}")
    return f' {written}="{text(str(value))}"'


def is_local(link: str) -> bool:
    """Return whether a link cannot leave this origin."""
    return link.startswith(("?", "#")) or (link.startswith("/") and not link.startswith(("//", "/\\")))
