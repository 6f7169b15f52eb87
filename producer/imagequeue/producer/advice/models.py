"""Advice about models that end, prices that change, and images that are made again and again. Pure."""

from collections.abc import Iterator
from typing import Final

from imagequeue.config.money import format_usd
from imagequeue.producer.advice.facts import Facts, ModelFacts, PriceFacts, RegenerationFacts
from imagequeue.producer.advice.findings import Figure, Finding, Option, Severity

REGENERATIONS: Final = 2.0
SOON_DAYS: Final = 14


def about_models(facts: Facts) -> Iterator[Finding]:
    """Yield the models in use that end or have ended."""
    for model in facts.models:
        yield _ending(model)


def _ending(model: ModelFacts) -> Finding:
    when = f"ended on {model.ends}" if model.retired else f"ends on {model.ends}, in {model.days_left} days"
    successor_usd = None if model.successor_price_nano is None else format_usd(model.successor_price_nano)
    figures: dict[str, Figure] = {
        "ends": model.ends.isoformat(),
        "days_left": model.days_left,
        "images_30_days": model.images,
        "usd_per_image": format_usd(model.price_nano),
        "successor": model.successor,
        "successor_usd_per_image": successor_usd,
    }
    return Finding(
        code="model_ends",
        severity=_urgency(model),
        subject=model.name,
        text=f"{model.name} {when}; images made with it in the last 30 days: {model.images:,}.",
        figures=figures,
        options=tuple(_successors(model, successor_usd)),
    )


def _urgency(model: ModelFacts) -> Severity:
    if model.images == 0:  # only preferred: jobs that name no model pass over it by themselves
        return "info"
    return "critical" if model.days_left <= SOON_DAYS else "warning"


def _successors(model: ModelFacts, successor_usd: str | None) -> Iterator[Option]:
    if model.successor is None:
        yield Option(code="choose_model", text="No successor is published; `imagequeue plan` compares the others.")
        return
    price = "" if successor_usd is None else f": ${successor_usd} a standard image, now ${format_usd(model.price_nano)}"
    yield Option(
        code="successor",
        text=f"Move apps and `models` to {model.successor}{price}.",
        figures={"model": model.successor, "usd_per_image": successor_usd},
    )


def about_prices(facts: Facts) -> Iterator[Finding]:
    """Yield the prices of used models that changed lately or will soon."""
    for price in facts.prices:
        if price.after_nano != price.before_nano:
            yield _changed(price)


def _changed(price: PriceFacts) -> Finding:
    month = price.images * (price.after_nano - price.before_nano)
    return Finding(
        code="price_changed",
        severity="warning" if month > 0 else "info",
        subject=price.model,
        text=(
            f"A standard image of {price.model} costs ${format_usd(price.after_nano)} from {price.since} on, "
            f"${format_usd(price.before_nano)} before."
        ),
        figures={
            "since": price.since.isoformat(),
            "before_usd": format_usd(price.before_nano),
            "after_usd": format_usd(price.after_nano),
            "images_30_days": price.images,
            "difference_30_days_usd": format_usd(month),
        },
        options=(Option(code="compare", text="`imagequeue plan` compares the other models at your volume."),),
    )


def about_regenerations(facts: Facts) -> Iterator[Finding]:
    """Yield the models whose images were made again more than twice for one that was meant."""
    for one in facts.regenerations:
        again = one.answers - one.intents
        if one.intents > 0 and again > REGENERATIONS * one.intents:
            yield _made_again(one, again)


def _made_again(one: RegenerationFacts, again: int) -> Finding:
    ratio = again / one.intents
    spent = one.settled_nano * again // one.answers
    kept = one.settled_nano * round(REGENERATIONS * one.intents) // one.answers
    return Finding(
        code="regenerations",
        severity="warning",
        subject=one.model,
        text=(
            f"In 30 days images of {one.model} were made again {ratio:.1f} times for each that was meant; "
            f"that cost ${format_usd(spent)}."
        ),
        figures={
            "regenerations_per_intent": round(ratio, 3),
            "intents": one.intents,
            "regenerations": again,
            "usd": format_usd(spent),
        },
        options=(
            Option(
                code="prompt_check",
                text=(
                    "`prompt_check = warn`, or `enqueue --check`, finds prompts that are likely to need another try; "
                    f"at {REGENERATIONS:g} regenerations ${format_usd(spent - kept)} less would have been spent."
                ),
                figures={"saved_usd": format_usd(spent - kept)},
            ),
            Option(code="keep", text="Note with `jobs keep` which images are used: reports then show each one's cost."),
        ),
    )
