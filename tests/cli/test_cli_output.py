"""What commands print: JSON for programs, tables for people, nothing that acts on a terminal."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.producer.commands.output import print_json, print_json_line, print_table, printable


@dataclass(frozen=True)
class Row:
    """One of our values."""

    name: str
    at: datetime


def test_json_takes_our_values(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)
    value = {"rows": (Row("ä", moment),), "usd": Decimal("0.040000000"), "day": date(2026, 1, 2), "none": None}
    expected = {
        "rows": [{"name": "ä", "at": "2026-11-22T01:02:03.000000Z"}],
        "usd": "0.040000000",
        "day": "2026-01-02",
        "none": None,
    }
    print_json(value)
    assert json.loads(capsys.readouterr().out) == expected
    print_json_line(value)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert json.loads(line) == expected


def test_json_refuses_what_has_no_form() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        print_json({"x": object()})


def test_a_table_shows_cells_whole_and_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "[red]markup[/red] :smile: " + "x" * 300
    print_table(("prompt", "usd"), [(prompt, "0.04"), ("\x1b]0;title\x07", "12.00")], right=("usd",))
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ["prompt", "usd"]
    assert prompt in first
    assert first.rstrip().endswith(" 0.04")
    assert "\x1b" not in second


@given(st.text())
def test_nothing_printable_moves_the_cursor(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
