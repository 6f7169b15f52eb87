"""Amounts of money are exact, whatever their size."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.config.money import NANO_PER_USD, USD_MAX, format_usd, parse_usd

NANO = st.integers(-USD_MAX * NANO_PER_USD, USD_MAX * NANO_PER_USD)


@given(NANO)
def test_what_is_written_reads_back_the_same(amount: int) -> None:
    assert parse_usd(format_usd(amount)) == amount


@given(NANO, NANO)
def test_order_of_texts_read_is_the_order_of_amounts(first: int, second: int) -> None:
    assert (parse_usd(format_usd(first)) < parse_usd(format_usd(second))) == (first < second)


@pytest.mark.parametrize(
    ("text", "nano"),
    [("0.04", 40_000_000), ("0", 0), ("1e-9", 1), ("-0.000000001", -1), (1, 10**9), (Decimal("1000.00"), 10**12)],
)
def test_known_amounts(text: str | int | Decimal, nano: int) -> None:
    assert parse_usd(text) == nano


@pytest.mark.parametrize(
    "text",
    ["", "four", "NaN", "sNaN", "Infinity", "1000000000.000000001", "0.0000000001", "0.000000001" + "0" * 30 + "1"],
)
def test_what_is_no_amount_or_too_fine_is_refused(text: str) -> None:
    """Also where the digits are more than the decimal context keeps."""
    with pytest.raises(ValueError, match=r"not an amount|finer"):
        parse_usd(text)


def test_all_nine_decimals_are_written() -> None:
    assert format_usd(40_000_000) == "0.040000000"
    assert format_usd(-1) == "-0.000000001"
