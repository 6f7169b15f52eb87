"""The command `plan`: what a volume of images needs and costs, before a single call is made."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from imagequeue.producer.planner.alternatives import Offer
    from imagequeue.producer.planner.asking import Asked


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("plan")(plan)


def plan(
    images_per_day: Annotated[str | None, typer.Option(help="Images wanted a day.")] = None,
    images_per_month: Annotated[str | None, typer.Option(help="Images wanted in 30 days.")] = None,
    model: Annotated[str | None, typer.Option(help="Default: the first of IMAGEQUEUE_MODELS that is served.")] = None,
    size: Annotated[str | None, typer.Option(help="Default: the model's standard.")] = None,
    quality: Annotated[str | None, typer.Option(help="Default: the model's standard.")] = None,
    tier: Annotated[
        str | None, typer.Option(help="Usage tier. Default: the first configured organization with its own limits.")
    ] = None,
    cache_hit_rate: Annotated[str, typer.Option(help="Share of images that the cache answers, 0 to 1.")] = "0",
    batch_share: Annotated[str, typer.Option(help="Share of the rest that goes by batch, 0 to 1.")] = "0",
    regenerations: Annotated[str, typer.Option(help="Images made for each one that is kept, 1 or more.")] = "1",
    prompt_characters: Annotated[int, typer.Option(help="Length of a prompt; for models priced by tokens.")] = 400,
    orgs: Annotated[int, typer.Option(help="Organizations, all alike.")] = 1,
    images: Annotated[int | None, typer.Option(help="A goal: this many images in all.")] = None,
    by: Annotated[str | None, typer.Option(help="The day by which the goal must be reached, YYYY-MM-DD (UTC).")] = None,
    subscription_usd: Annotated[str | None, typer.Option(help="A subscription's price a month.")] = None,
    subscription_images: Annotated[str | None, typer.Option(help="Images that it makes a month.")] = None,
    machine_usd: Annotated[str | None, typer.Option(help="One machine of your own: its cost a month.")] = None,
    machine_images_per_second: Annotated[str | None, typer.Option(help="Images that it makes a second.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Show what a volume of images needs and costs: pace, ceilings, tier, organizations, money, other ways.

    A month is 30 days, a day 1,440 minutes of even load. Give --images-per-day, --images-per-month, or --images with
    --by.
    """
    from imagequeue.producer.planner.asking import Asked, asked_offers

    asked = Asked(
        images_per_day=images_per_day, images_per_month=images_per_month, model=model, size=size, quality=quality,
        tier=tier, cache_hit_rate=cache_hit_rate, batch_share=batch_share, regenerations=regenerations,
        prompt_characters=prompt_characters, orgs=orgs, images=images, by=by,
    )  # fmt: skip
    offers = asked_offers(subscription_usd, subscription_images, machine_usd, machine_images_per_second)
    _show(asked, offers, as_json=as_json)


def _show(asked: "Asked", offers: "Sequence[Offer]", *, as_json: bool) -> None:
    from imagequeue.config.catalog import load_catalog
    from imagequeue.config.clock import SystemClock
    from imagequeue.config.settings import load_settings
    from imagequeue.producer.commands.output import print_json
    from imagequeue.producer.planner import asking, document, tables
    from imagequeue.producer.planner.plan import plan as planned

    settings = load_settings(keys_needed=False)
    catalog = load_catalog(settings.catalog)
    today = SystemClock().now().date()
    found = planned(catalog, asking.question(asked, settings, catalog, today), offers, today)
    if as_json:
        print_json(document.document(found, catalog))
    else:
        tables.show(found, catalog)
