"""The planner: a form for a volume of images, and what it needs and costs. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from imagequeue.dashboard.door import Answer, Parameters
from imagequeue.dashboard.html import Child, Html, el, join
from imagequeue.dashboard.layout import ROOT, badge, note, table, user_text
from imagequeue.dashboard.shown import NONE, count, share, usd
from imagequeue.dashboard.values import Json, at, number_at, rows_at, text_at, texts_at, usd_at

FIELDS: Final = (
    ("images_per_day", "images a day", "100000"),
    ("images_per_month", "or images a month", "3000000"),
    ("images", "or a goal of images", "500000"),
    ("by", "by the day", "2027-01-31"),
    ("model", "model", "dall-e-3"),
    ("size", "size", "1024x1024"),
    ("quality", "quality", "standard"),
    ("tier", "usage tier", "3"),
    ("orgs", "organizations", "1"),
    ("cache_hit_rate", "cache hit rate, 0 to 1", "0"),
    ("batch_share", "share by batch, 0 to 1", "0"),
    ("regenerations", "made per kept image", "1"),
    ("prompt_characters", "letters of a prompt", "400"),
)
"""Names of the door's options, what they are called here, and an example."""
LIMIT_NAMES: Final = {
    "images_per_minute": "images a minute",
    "tokens_per_minute": "tokens a minute",
    "monthly_cap": "dollars a month",
}
LEVELS: Final = {"fine": "good", "plan": "warn", "act": "bad"}
VERDICTS: Final = {"fine": "fine", "plan": "plan ahead", "act": "act"}


def asked(query: Mapping[str, str]) -> Parameters:
    """Return what the door is asked for: the fields that are filled in; nothing for an empty form."""
    return [(name, query[name].strip()) for name, _, _ in FIELDS if query.get(name, "").strip()]


def plan_page(answer: Answer | None, query: Mapping[str, str]) -> Html:
    """Return the page's content; without an answer the form alone."""
    if answer is None:
        said = "What would a volume of images need and cost? A month is 30 days of even load. Nothing is called."
        return join(el("p", said, class_="quiet"), _form(query))
    if answer.problem:
        return join(_form(query), note(answer.problem, "bad"))
    body = answer.body
    return join(
        _form(query),
        _tiles(body),
        _advice(texts_at(body, "advice")),
        el("section", el("h2", "Ceilings"), _limits(body)),
        el("section", el("h2", "Cost"), _costs(body)),
        _finish(body),
        el("section", el("h2", "Other models"), _models(rows_at(body, "models"))),
        el("section", el("h2", "Other ways"), _alternatives(rows_at(body, "alternatives"))),
    )


def _form(query: Mapping[str, str]) -> Html:
    fields = (
        el("label", label, el("input", name=name, value=query.get(name, ""), placeholder=example, maxlength=64))
        for name, label, example in FIELDS
    )
    button = el("button", "Plan", class_="main")
    return el("form", *fields, button, class_="filters", method="get", action=f"{ROOT}/plan")


def _tiles(body: Json) -> Html:
    binding = text_at(body, "binding", "limit")
    tiles: tuple[tuple[Child, str], ...] = (
        (count(_short(number_at(body, "images_per_minute"))), "images a minute by call"),
        (share(number_at(body, "share_of_ceiling")), "of the ceiling"),
        (
            share(number_at(body, "binding", "share")),
            f"of what binds first: {LIMIT_NAMES.get(binding, binding) or NONE}",
        ),
        (usd(usd_at(body, "cost", "planned", "day_usd")), "a day"),
        (usd(usd_at(body, "cost", "planned", "month_usd")), "a month"),
        (text_at(body, "lowest_tier") or "none", "lowest tier that holds it"),
        (text_at(body, "orgs_needed") or NONE, "organizations needed"),
    )
    return el("ul", *(el("li", el("strong", value), el("span", name)) for value, name in tiles), class_="tiles")


def _advice(said: Sequence[str]) -> Html | None:
    if not said:
        return None
    items = (el("li", user_text(text)) for text in said)
    return el("section", el("h2", "Advice"), el("ul", *items, class_="advice"))


def _limits(body: Json) -> Html:
    rows = [
        el(
            "tr",
            el("th", label, scope="row"),
            el("td", _verdict(text_at(limit, "verdict"))),
            *(el("td", _amount(name, limit, key), class_="number") for key in ("needed", "ceiling")),
            el("td", share(number_at(limit, "share")), class_="number"),
            el("td", user_text(text_at(limit, "source")), class_="quiet"),
        )
        for name, label in LIMIT_NAMES.items()
        if isinstance(limit := at(body, "limits", name), Mapping)
    ]
    columns = (("limit", ""), ("", ""), ("needed", "number"), ("ceiling", "number"), ("used", "number"), ("from", ""))
    return table("Needed against every ceiling", columns, rows)


def _verdict(word: str) -> Html:
    return badge(VERDICTS.get(word, word or NONE), LEVELS.get(word, ""))


def _amount(name: str, limit: Json, key: str) -> str:
    if limit.get(key) is None:
        return "no limit" if key == "ceiling" else NONE
    return usd(usd_at(limit, key)) if name == "monthly_cap" else count(_short(number_at(limit, key)))


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _costs(body: Json) -> Html:
    ways = (("planned", "as planned"), ("on_demand", "all on demand"), ("batch", "all by batch"))
    rows = [
        el(
            "tr",
            el("th", label, scope="row"),
            *(el("td", usd(usd_at(body, "cost", name, key)), class_="number") for key in ("day_usd", "month_usd")),
        )
        for name, label in ways
    ]
    now, batch = usd(usd_at(body, "usd_per_image")), usd(usd_at(body, "usd_per_image_batch"))
    each = f"An image: {now} on demand, {batch} by batch."
    columns = (("", ""), ("a day", "number"), ("a month", "number"))
    return join(table("Cost a day and a month", columns, rows), el("p", each, class_="quiet"))


def _finish(body: Json) -> Html | None:
    if not isinstance(at(body, "finish"), Mapping):
        return None
    days = number_at(body, "finish", "days_at_ceiling")
    said = (
        f"{count(number_at(body, 'finish', 'images'))} images take at least {count(_short(days))} days at the ceilings "
        f"and cost {usd(usd_at(body, 'finish', 'usd'))}."
    )
    in_time = at(body, "finish", "in_time")
    verdict = None if in_time is None else badge("in time", "good") if in_time is True else badge("too late", "bad")
    return el("section", el("h2", "The goal"), el("p", said, " ", verdict))


def _models(models: Sequence[Json]) -> Html:
    rows = [
        el(
            "tr",
            el("th", user_text(text_at(model, "model")), scope="row", class_="nowrap"),
            el("td", " ".join(filter(None, (text_at(model, "size"), text_at(model, "quality"))))),
            el("td", badge("fits", "good") if model.get("fits") is True else badge("does not fit", "bad")),
            el("td", share(number_at(model, "binding", "share")), class_="number"),
            el("td", text_at(model, "lowest_tier") or NONE),
            el("td", usd(usd_at(model, "usd_per_image")), class_="number"),
            el("td", usd(usd_at(model, "cost", "planned", "month_usd")), class_="number"),
        )
        for model in models
    ]
    columns = (
        ("model", ""), ("size and quality", ""), ("", ""), ("of what binds", "number"), ("tier", ""),
        ("an image", "number"), ("a month", "number"),
    )  # fmt: skip
    return table("The same volume by each model", columns, rows)


def _alternatives(alternatives: Sequence[Json]) -> Html:
    rows = [
        el(
            "tr",
            el("th", user_text(text_at(one, "label")), scope="row"),
            el("td", count(number_at(one, "units")), class_="number"),
            el("td", usd(usd_at(one, "month_usd")), class_="number"),
            el("td", count(number_at(one, "break_even_images_per_month")), class_="number"),
            el("td", user_text(text_at(one, "note")), class_="quiet"),
        )
        for one in alternatives
    ]
    columns = (
        ("way", ""), ("of them", "number"), ("a month", "number"), ("cheaper from images a month", "number"), ("", ""),
    )  # fmt: skip
    return table("A subscription and machines of your own", columns, rows)
