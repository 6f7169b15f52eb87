"""What a call costs is exact: every cell of every published grid, every token rate, every day of a price change."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.config.catalog import (
    Catalog,
    Model,
    Usage,
    estimate_tokens,
    load_catalog,
    output_tokens,
    price_call,
    price_job_upper_bound,
    price_upper_bound,
)
from imagequeue.config.catalog.tokens import formula_tokens
from imagequeue.config.job import parse_job

ON = date(2026, 11, 22)
N_AND_BATCH = [(n, delivery) for n in range(1, 11) for delivery in ("now", "batch", "auto")]

PER_IMAGE = {  # dollars by model, quality and size, as published
    ("dall-e-3", "standard", "1024x1024"): "0.04",
    ("dall-e-3", "standard", "1024x1792"): "0.08",
    ("dall-e-3", "standard", "1792x1024"): "0.08",
    ("dall-e-3", "standard", "1024x1536"): "0.08",
    ("dall-e-3", "standard", "1536x1024"): "0.08",
    ("dall-e-3", "hd", "1024x1024"): "0.08",
    ("dall-e-3", "hd", "1024x1792"): "0.12",
    ("dall-e-3", "hd", "1792x1024"): "0.12",
    ("dall-e-3", "hd", "1024x1536"): "0.12",
    ("dall-e-3", "hd", "1536x1024"): "0.12",
    ("dall-e-2", "standard", "256x256"): "0.016",
    ("dall-e-2", "standard", "512x512"): "0.018",
    ("dall-e-2", "standard", "1024x1024"): "0.02",
}

GPT_IMAGE_2_PUBLISHED = {  # dollars of the output image, rounded to a tenth of a cent as published
    ("low", "1024x1024"): "0.006",
    ("low", "1024x1536"): "0.005",
    ("low", "1536x1024"): "0.005",
    ("medium", "1024x1024"): "0.053",
    ("medium", "1024x1536"): "0.041",
    ("medium", "1536x1024"): "0.041",
    ("high", "1024x1024"): "0.211",
    ("high", "1024x1536"): "0.165",
    ("high", "1536x1024"): "0.165",
}

TOKENS_BEFORE_2 = {
    "low": {"1024x1024": 272, "1024x1536": 408, "1536x1024": 400},
    "medium": {"1024x1024": 1056, "1024x1536": 1584, "1536x1024": 1568},
    "high": {"1024x1024": 4160, "1024x1536": 6240, "1536x1024": 6208},
}
TOKENS_2 = {
    "low": {"1024x1024": 196, "1536x1024": 158, "2048x1152": 157, "2048x2048": 397, "2160x3840": 371},
    "medium": {"1024x1024": 1756, "1024x1536": 1372, "2048x1152": 1413, "2048x2048": 3568, "3840x2160": 3336},
    "high": {"1024x1024": 7024, "1536x1024": 5488, "2048x1152": 5650, "2048x2048": 14272, "3840x2160": 13342},
}
TOKENS_25 = {
    "low": {"1024x1024": 196, "1024x1536": 158, "2048x1152": 157, "2048x2048": 397, "3840x2160": 371},
    "medium": {"1024x1024": 439, "1536x1024": 343, "2048x1152": 367, "2048x2048": 892, "3840x2160": 865},
    "high": {"1024x1024": 1756, "1024x1536": 1372, "2048x1152": 1413, "2048x2048": 3568, "2160x3840": 3336},
    "xhigh": {"1024x1024": 3122, "1536x1024": 2459, "2048x1152": 2511, "2048x2048": 6343, "3840x2160": 5930},
    "max": {"1024x1024": 7024, "1024x1536": 5488, "2048x1152": 5650, "2048x2048": 14272, "3840x2160": 13342},
}
OUTPUT_TOKENS: dict[str, Mapping[str, Mapping[str, int]]] = {
    "gpt-image-1": TOKENS_BEFORE_2,
    "gpt-image-1-mini": TOKENS_BEFORE_2,
    "gpt-image-1.5": TOKENS_BEFORE_2,
    "chatgpt-image-latest": TOKENS_BEFORE_2,
    "gpt-image-2": TOKENS_2,
    "gpt-image-2.5-sunburst": TOKENS_25,
    "gpt-image-2.5-flare": TOKENS_25,
}

RATES = {  # nano-dollars per token: text in, image in, image out, text out
    "gpt-image-1": (5_000, 10_000, 40_000, None),
    "gpt-image-1-mini": (2_000, 2_500, 8_000, None),
    "gpt-image-1.5": (5_000, 8_000, 32_000, 10_000),
    "chatgpt-image-latest": (5_000, 8_000, 32_000, 10_000),
    "gpt-image-2": (5_000, 8_000, 30_000, None),
    "gpt-image-2.5-sunburst": (5_000, 8_000, 30_000, None),
    "gpt-image-2.5-flare": (5_000, 8_000, 30_000, None),
    "gpt-image-2.6-sunburst": (5_000, 8_000, 30_000, None),
    "gpt-image-2.6-flare": (5_000, 8_000, 30_000, None),
}
TOKENS = st.integers(0, 20) | st.integers(0, 10**9)


@pytest.mark.parametrize(("name", "quality", "size"), PER_IMAGE)
def test_every_cell_times_every_n_is_exact(catalog: Catalog, name: str, quality: str, size: str) -> None:
    """For a batch half of it; the hold equals the price, since nothing is unknown before the call."""
    model, one = catalog.model(name), int(Decimal(PER_IMAGE[name, quality, size]) * 10**9)
    for n, delivery in N_AND_BATCH:
        if delivery == "batch" and model.batch_percent is None:
            continue
        due = n * one // 2 if delivery == "batch" else n * one
        price = price_call(model, size=size, quality=quality, n=n, usage=None, delivery=delivery, on=ON)
        hold = price_upper_bound(model, size=size, quality=quality, n=n, delivery=delivery, on=ON, prompt_bytes=4000)
        assert (price, hold) == (due, due)


def test_the_grids_hold_these_cells_and_no_others(catalog: Catalog) -> None:
    cells = {
        (model.name, quality, size)
        for model in catalog.models.values()
        for prices in model.image_prices
        for quality, row in prices.nano_usd.items()
        for size in row
    }
    assert cells == {key for key in PER_IMAGE if "1536" not in key[2]}


@pytest.mark.parametrize(("quality", "size"), GPT_IMAGE_2_PUBLISHED)
def test_the_formula_gives_the_published_prices_of_gpt_image_2(catalog: Catalog, quality: str, size: str) -> None:
    price = price_call(catalog.model("gpt-image-2"), size=size, quality=quality, n=1, usage=None, delivery="now", on=ON)
    assert round(Decimal(price) / 10**9, 3) == Decimal(GPT_IMAGE_2_PUBLISHED[quality, size])


@pytest.mark.parametrize("name", OUTPUT_TOKENS)
def test_output_tokens_are_the_published_ones(catalog: Catalog, name: str) -> None:
    model = catalog.model(name)
    got = {
        quality: {size: output_tokens(model, size=size, quality=quality) for size in row}
        for quality, row in OUTPUT_TOKENS[name].items()
    }
    assert got == OUTPUT_TOKENS[name]


@given(st.integers(40, 240), st.integers(40, 240), st.sampled_from([16, 24, 48, 64, 96]))
def test_the_formula_in_integers_is_the_formula_in_fractions(w16: int, h16: int, cells: int) -> None:
    """Rounding half up and rounding up are what the integers do, for sizes in multiples of 16 pixels."""
    width, height = 16 * w16, 16 * h16
    short = (Fraction(cells * min(width, height), max(width, height)) + Fraction(1, 2)).__floor__()
    due = (Fraction(cells * short) * (2_000_000 + width * height) / 4_000_000).__ceil__()
    assert formula_tokens(width, height, cells) == formula_tokens(height, width, cells) == due


@pytest.mark.parametrize("name", RATES)
@given(text_input=TOKENS, image_input=TOKENS, image_output=TOKENS, text_output=TOKENS)
def test_usage_times_rates_is_exact(
    catalog: Catalog, name: str, text_input: int, image_input: int, image_output: int, text_output: int
) -> None:
    text_in, image_in, image_out, text_out = RATES[name]
    usage = Usage(text_input=text_input, image_input=image_input, image_output=image_output, text_output=text_output)
    due = text_input * text_in + image_input * image_in + image_output * image_out
    due += text_output * (image_out if text_out is None else text_out)
    model = catalog.model(name)
    assert price_call(model, size=None, quality=None, n=1, usage=usage, delivery="now", on=ON) == due
    half = price_call(model, size=None, quality=None, n=1, usage=usage, delivery="batch", on=ON)
    assert half == -(-due // 2)


def test_input_that_was_not_split_is_dear_only_when_images_were_sent(catalog: Catalog) -> None:
    model, usage = catalog.model("gpt-image-2"), Usage(unsplit_input=10)
    prices = [
        price_call(model, size=None, quality=None, n=1, usage=usage, delivery="now", on=ON, input_images=images)
        for images in (0, 1)
    ]
    assert prices == [50_000, 80_000]


@given(
    prompt=st.text(min_size=1, max_size=300).filter(lambda text: text.strip() and "\0" not in text),
    quality=st.sampled_from([None, "auto", "low", "medium", "high"]),
    size=st.sampled_from([None, "auto", "1024x1024", "1536x1024", "1024x1536"]),
    n=st.integers(1, 10),
    name=st.sampled_from(sorted(RATES)),
)
def test_a_hold_is_never_below_any_price_it_may_come_to(
    catalog: Catalog, prompt: str, quality: str | None, size: str | None, n: int, name: str
) -> None:
    """With one token for each byte of the prompt, at whichever quality and size the provider picks."""
    model = catalog.model(name)
    job = parse_job({"prompt": prompt, "model": name, "quality": quality, "size": size, "n": n})
    hold = price_job_upper_bound(job, model, on=ON)
    sizes = ["1024x1024", "1536x1024", "1024x1536"] if size == "auto" else [size]
    qualities = ["low", "medium", "high"] if quality == "auto" else [quality]
    for made_size in sizes:
        for made_quality in qualities:
            out = n * output_tokens(model, size=made_size, quality=made_quality)
            usage = Usage(text_input=len(prompt.encode()), image_output=out)
            price = price_call(model, size=made_size, quality=made_quality, n=n, usage=usage, delivery="now", on=ON)
            assert price <= hold


@pytest.mark.parametrize(("until", "usd"), [(None, "0.02"), ("2026-11-23", "0.02"), ("2026-11-24", "0.045")])
def test_a_hold_covers_every_price_that_begins_before_the_bill(until: str | None, usd: str) -> None:
    """A batch that is gathered before a price rises is made, and billed, after it."""
    prices = [
        {"from": "2026-11-01", "usd": {"*": {"*": "0.04"}}},
        {"from": "2026-11-24", "usd": {"*": {"*": "0.09"}}},
        {"from": "2026-11-25", "usd": {"*": {"*": "0.50"}}},
    ]
    rises = load_catalog({"models": {"dall-e-3": {"image_prices": prices}}}).model("dall-e-3")
    job = parse_job({"prompt": "a", "model": "dall-e-3", "delivery": "batch"})
    day = None if until is None else date.fromisoformat(until)
    assert price_job_upper_bound(job, rises, on=ON, until=day) == Decimal(usd) * 10**9


def test_auto_is_held_at_the_top_level(catalog: Catalog) -> None:
    model = catalog.model("gpt-image-2.5-flare")
    bounds = [
        price_upper_bound(model, size="1024x1024", quality=quality, n=1, delivery="now", on=ON)
        for quality in ("auto", "max")
    ]
    assert bounds[0] == bounds[1]


def test_a_price_change_applies_from_its_day() -> None:
    """And days before the first known price take that one."""
    prices = [{"from": f"2026-01-0{day}", "usd": {"*": {"*": f"0.0{day}"}}} for day in (5, 3, 9)]
    model = load_catalog({"models": {"mine": {"image_prices": prices}}}).model("mine")
    paid = {
        day: price_call(
            model, size=None, quality=None, n=1, usage=None, delivery="now", on=date(2025, 12, 31) + timedelta(day)
        )
        // 10_000_000
        for day in (1, 2, 3, 4, 5, 8, 9, 10)
    }
    assert paid == {1: 3, 2: 3, 3: 3, 4: 3, 5: 5, 8: 5, 9: 9, 10: 9}


def test_odd_rates_round_up_once_per_call() -> None:
    """At 700 nano-dollars per million tokens one token is not a whole nano-dollar; the rest of the sum rounds up."""
    model = mine(token_prices=[{"usd_per_1m_tokens": {"text_input": "0.0000007", "image_output": "0.001"}}])
    assert one_token_price(model, Usage(text_input=1)) == 1
    assert one_token_price(model, Usage(text_input=1_000_000)) == 700
    assert one_token_price(model, Usage(text_input=3, image_output=1)) == 2


def mine(**record: object) -> Model:
    record = {"output_tokens": {"table": {"*": {"*": 100}}}, **record}
    return load_catalog({"models": {"mine": record}}).model("mine")


def one_token_price(model: Model, usage: Usage) -> int:
    return price_call(model, size=None, quality=None, n=1, usage=usage, delivery="now", on=ON)


def test_the_most_particular_entry_of_a_grid_wins_and_auto_is_the_dearest() -> None:
    """Also on a model that takes any quality and size."""
    grid = {"*": {"*": "0.01", "512x512": "0.02"}, "hd": {"2048x2048": "0.30"}, "low": {"*": "0.005"}}
    accepts = {"qualities": ["*"], "sizes": ["*"]}
    model = load_catalog({"models": {"mine": {"image_prices": [{"usd": grid}], "accepts": accepts}}}).model("mine")
    asked = [
        ("hd", "2048x2048"),
        ("hd", "512x512"),
        ("hd", "64x64"),
        ("low", "512x512"),
        (None, None),
        ("auto", "auto"),
    ]
    cents = [
        price_upper_bound(model, size=size, quality=quality, n=1, delivery="now", on=ON) / 10_000_000
        for quality, size in asked
    ]
    assert cents == [30, 2, 1, 0.5, 1, 30]


def test_a_model_without_batch_has_no_batch_price(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="no batch price"):
        price_call(catalog.model("dall-e-2"), size=None, quality=None, n=1, usage=None, delivery="batch", on=ON)


def test_tokens_are_counted_towards_the_ceiling_for_token_models_only(catalog: Catalog) -> None:
    two = catalog.model("gpt-image-2")
    assert estimate_tokens(two, size=None, quality="low", n=2, prompt_characters=401) == 2 * 196 + 101
    assert estimate_tokens(two, size=None, quality="low", n=1, input_images=1) == 196 + 7337
    assert estimate_tokens(catalog.model("dall-e-3"), size=None, quality=None, n=1, prompt_characters=400) == 0


def test_usage_is_read_as_the_answer_reports_it() -> None:
    usage = Usage.from_answer(
        {
            "created": 1,
            "usage": {
                "input_tokens": 50,
                "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                "output_tokens": 4160,
                "total_tokens": 4210,
            },
        }
    )
    assert usage == Usage(text_input=10, image_input=40, image_output=4160)


def test_reasoning_in_the_answer_is_text_output() -> None:
    usage = Usage.from_answer(
        {
            "usage": {
                "input_tokens": 9,
                "output_tokens": 300,
                "output_tokens_details": {"text_tokens": 28, "image_tokens": 272},
            }
        }
    )
    assert usage == Usage(unsplit_input=9, text_output=28, image_output=272)


def test_a_zero_is_a_zero_and_nothing_is_nothing() -> None:
    zero = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "input_tokens_details": None}
    assert Usage.from_answer({"usage": zero}) == Usage()
    for answer in ({}, {"usage": None}, {"usage": {}}, {"usage": {"total_tokens": 5}}, {"usage": []}):
        assert Usage.from_answer(answer) is None


@pytest.mark.parametrize("count", [-1, float("nan"), float("inf"), 1.5, True, "7", 10**13, [1]])
def test_a_count_that_is_no_count_is_refused(count: object) -> None:
    with pytest.raises(ValueError, match=r"^usage\.output_tokens: a whole number"):
        Usage.from_answer({"usage": {"output_tokens": count}})
    with pytest.raises(ValueError, match=r"^usage\.image_tokens: a whole number"):
        Usage.from_answer({"usage": {"output_tokens": 1, "input_tokens_details": {"image_tokens": count}}})
