"""Nothing that is passed in as text can become markup, and no page can link, run or style what is not ours."""

import pytest
from dashboard_payloads import PAYLOADS
from dashboard_reader import Reader
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.dashboard.html import CONTROLS, el, is_local, join, text

TEXTS = st.one_of(st.text(max_size=80), st.sampled_from(PAYLOADS))


@given(words=TEXTS, value=TEXTS)
def test_text_and_attributes_come_out_as_they_went_in_and_nothing_else_does(words: str, value: str) -> None:
    found = Reader(el("p", words, title=value))
    assert found.tags == ["p"]
    assert found.text == words.translate(CONTROLS)
    assert found.attributes == [("title", value.translate(CONTROLS))]


@given(words=st.lists(TEXTS, max_size=4))
def test_children_are_escaped_one_by_one_and_built_markup_is_kept(words: list[str]) -> None:
    found = Reader(join(el("b", "built"), [words, 7, None]))
    assert found.tags == ["b"]
    assert found.text == "built" + "".join(words).translate(CONTROLS) + "7"


@pytest.mark.parametrize("name", ["onclick", "onerror", "style", "on_load", "x y", 'x"'])
def test_handlers_styles_and_odd_names_are_no_attributes(name: str) -> None:
    with pytest.raises(ValueError, match="no attribute"):
        el("p", **{name: "x"})


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "//evil.example", "/\\evil.example", "https://evil.example", "data:x", "", "x"]
)
def test_a_link_cannot_leave_this_origin(link: str) -> None:
    assert not is_local(link)
    for name in ("href", "src", "action", "formaction"):
        with pytest.raises(ValueError, match="within this origin"):
            el("a", **{name: link})


def test_scripts_and_styles_have_no_text() -> None:
    for tag in ("script", "style"):
        with pytest.raises(ValueError, match="only as a file"):
            el(tag, "alert(1)")
    assert el("script", src="/live.js", defer=True) == '<script src="/live.js" defer></script>'


def test_what_a_terminal_or_a_parser_would_act_on_is_replaced() -> None:
    assert text("a\x00b\x1bc\nd\te") == "a\ufffdb\ufffdc\nd\te"


def test_only_html_that_has_no_end_tag_goes_without_one() -> None:
    assert el("input", type_="hidden", checked=True, value=None) == '<input type="hidden" checked>'
    assert el("line", x1=1) == '<line x1="1"></line>'
