"""The planner over HTTP: what a volume of images needs and costs, as `imagequeue plan --json` prints it."""

import asyncio
from dataclasses import fields
from typing import Final

from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.errors import JobRefused
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route
from imagequeue.producer.planner import asking
from imagequeue.producer.planner.document import document
from imagequeue.producer.planner.plan import plan

WHOLE: Final = ("prompt_characters", "orgs", "images")
OFFERS: Final = ("subscription_usd", "subscription_images", "machine_usd", "machine_images_per_second")
OPTIONS: Final = (*(field.name for field in fields(asking.Asked)), *OFFERS)
TEXT_CHARACTERS_MAX: Final = 64
DIGITS_MAX: Final = 12


def plan_routes() -> list[Route]:
    """Return the route of the planner."""
    return [route("/v1/plan", "GET", show_plan, scope="read")]


async def show_plan(asked: Asked) -> Response:
    """Plan for the query's options, those of `imagequeue plan` with underscores; nothing is called and nothing kept."""
    query = asked.request.query_params
    check_known(query, OPTIONS)
    values = {name: _value(name, query) for name in OPTIONS if query.get(name)}
    try:
        return JSONResponse(await asyncio.to_thread(_planned, asked, values))
    except JobRefused as error:
        raise JobRefused(error.field.replace("-", "_"), error.message.replace("--", "")) from error


def _planned(asked: Asked, values: dict[str, str | int]) -> dict[str, object]:
    door, today = asked.door, asked.door.clock.now().date()
    if "tier" in values and str(values["tier"]).lower() not in door.catalog.tiers:
        raise JobRefused("tier", f"accepted: {', '.join(door.catalog.tiers)}")
    question = asking.question(
        asking.Asked(**{name: value for name, value in values.items() if name not in OFFERS}),  # type: ignore[arg-type]  # `_value` gives each its kind
        door.settings,
        door.catalog,
        today,
    )
    offers = asking.asked_offers(*(None if name not in values else str(values[name]) for name in OFFERS))
    return document(plan(door.catalog, question, offers, today), door.catalog)


def _value(name: str, query: QueryParams) -> str | int:
    text = query[name].strip()
    if len(text) > TEXT_CHARACTERS_MAX:
        raise JobRefused(name, f"at most {TEXT_CHARACTERS_MAX} characters are accepted")
    if name not in WHOLE:
        return text
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX):
        raise JobRefused(name, "a whole number is accepted")
    return int(text)
